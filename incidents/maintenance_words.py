"""What planned work says by itself, in every language: that it has begun, is done, or is called off."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from foundation.languages import SPOKEN, in_language
from incidents.lifecycle import Phase
from incidents.records import Incident
from incidents.wording import LONGEST_TITLE, UpdateText

Render = Callable[..., str]


@dataclass(frozen=True, slots=True)
class MaintenanceWords:
    """`maintenance.Words`. `render(template, language, **context)`; `zone`: IANA name that times are told in."""

    render: Render
    zone: str

    def __call__(self, incident: Incident, phase: Phase) -> Mapping[str, UpdateText]:
        """Language → text of the update that takes planned work to `phase`."""
        return {language: self._text(incident, phase, language) for language in SPOKEN}

    def _text(self, incident: Incident, phase: Phase, language: str) -> UpdateText:
        def part(name: str) -> str:
            return self.render(
                "incidents/maintenance.txt",
                language,
                part=name,
                phase=phase,
                title=in_language(incident.title, language)[1],
                until=incident.scheduled_until,
                zone=self.zone,
            ).strip()

        return UpdateText(part("title")[:LONGEST_TITLE], part("body"), part("advice"))
