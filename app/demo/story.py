"""What is said about the storm, in English and Dutch: four updates, from not knowing why to all clear. Text only.

The facts are those of 8 and 9 February 2013: a winter storm over the north-east of the United States, with blizzard
warnings for New York; airlines cancelled 865 of the 1,614 departures in the file, and the airports were open again on
the second day. Nothing is said with more certainty than the update before it allows.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from incidents import UpdateText

PAGE_NAME = "New York flights"
TITLE = {
    "en": "865 flights from New York cancelled on 8 and 9 February",
    "nl": "865 vluchten vanuit New York geannuleerd op 8 en 9 februari",
}


@dataclass(frozen=True, slots=True)
class Act:
    """One update of the story."""

    phase: str
    certainty: str
    texts: dict[str, UpdateText]
    component_status: str
    evidence: str = ""

    def draft(self, next_update_at: datetime | None) -> dict[str, Any]:
        """The update as `POST /api/v1/incidents/{id}/updates` takes it."""
        texts = {language: asdict(text) for language, text in self.texts.items()}
        draft: dict[str, Any] = {"phase": self.phase, "texts": texts, "cause_certainty": self.certainty}
        draft |= {"component_status": self.component_status, "cause_evidence": self.evidence}
        if next_update_at is not None:
            draft["next_update_at"] = next_update_at.isoformat()
        return draft


ACTS = (
    Act(
        "investigating",
        "unknown",
        {
            "en": UpdateText(
                "Your flight from New York is cancelled",
                "Airlines are cancelling flights from Newark, JFK and LaGuardia today and tomorrow. Yours is one of "
                "865. We are finding out why, and for how long.",
                "Please do not travel to the airport for this flight. Keep your booking: you do not lose it by "
                "waiting for our next message.",
            ),
            "nl": UpdateText(
                "Uw vlucht vanuit New York is geannuleerd",
                "Luchtvaartmaatschappijen annuleren vandaag en morgen vluchten vanaf Newark, JFK en LaGuardia. De uwe "
                "is een van de 865. We zoeken uit waardoor dat komt en hoe lang het gaat duren.",
                "Ga voor deze vlucht niet naar de luchthaven. Bewaar uw boeking: u raakt die niet kwijt door op ons "
                "volgende bericht te wachten.",
            ),
        },
        "major_outage",
    ),
    Act(
        "identified",
        "suspected",
        {
            "en": UpdateText(
                "Your cancelled flight: a snowstorm is the likely reason",
                "A winter storm is moving over the north-east of the United States. Airlines say they are cancelling "
                "flights before it arrives, so that nobody is stranded at a closed airport.",
                "You can choose: another flight, or your money back. Tell us once which you want, with the link "
                "below. You do not need to telephone or stand in line.",
                "a snowstorm over New York",
            ),
            "nl": UpdateText(
                "Uw geannuleerde vlucht: waarschijnlijk door een sneeuwstorm",
                "Een winterstorm trekt over het noordoosten van de Verenigde Staten. De maatschappijen zeggen dat zij "
                "vluchten vooraf annuleren, zodat niemand strandt op een gesloten luchthaven.",
                "U kunt kiezen: een andere vlucht of uw geld terug. Laat ons één keer weten wat u wilt, via de link "
                "hieronder. U hoeft niet te bellen of in de rij te staan.",
                "een sneeuwstorm boven New York",
            ),
        },
        "major_outage",
    ),
    Act(
        "monitoring",
        "confirmed",
        {
            "en": UpdateText(
                "Your cancelled flight: the snow has stopped, airports are reopening",
                "The blizzard has passed and runways are being cleared. The first flights leave again, but many are "
                "full. Your cancelled flight will not leave after all.",
                "If you asked for another flight you need do nothing: we look for a seat and write to you. If you "
                "paid for a hotel or meals, keep the receipts and add them to your case.",
                "the blizzard of 8 and 9 February",
            ),
            "nl": UpdateText(
                "Uw geannuleerde vlucht: het sneeuwt niet meer, luchthavens gaan open",
                "De sneeuwstorm is voorbij en de banen worden vrijgemaakt. De eerste vluchten vertrekken weer, maar "
                "vele zitten vol. Uw geannuleerde vlucht gaat niet alsnog.",
                "Hebt u om een andere vlucht gevraagd, dan hoeft u niets te doen: we zoeken een plaats en schrijven "
                "u. Hebt u een hotel of maaltijden betaald, bewaar de bonnen en voeg ze toe aan uw zaak.",
                "de sneeuwstorm van 8 en 9 februari",
            ),
        },
        "partial_outage",
        "The National Weather Service measured it, and all three airports say so.",
    ),
    Act(
        "resolved",
        "confirmed",
        {
            "en": UpdateText(
                "Flights from New York leave as planned again",
                "Newark, JFK and LaGuardia are open and flights leave as planned. 865 flights did not go; what their "
                "passengers asked us for is not forgotten, and every case stays open until it is answered.",
                "If you have not told us yet what you want, another flight or your money back, you still can.",
                "the blizzard of 8 and 9 February",
            ),
            "nl": UpdateText(
                "Vluchten vanuit New York vertrekken weer volgens plan",
                "Newark, JFK en LaGuardia zijn open en vluchten vertrekken volgens plan. 865 vluchten gingen niet; "
                "wat hun passagiers ons vroegen, vergeten we niet, en elke zaak blijft open tot er een antwoord is.",
                "Hebt u nog niet gezegd wat u wilt, een andere vlucht of uw geld terug, dan kan dat nog steeds.",
                "de sneeuwstorm van 8 en 9 februari",
            ),
        },
        "operational",
        "The National Weather Service measured it, and all three airports say so.",
    ),
)
