"""Finds sentences that state a cause as fact, in five languages, so that nobody says more than is known. Pure.

A sentence is flagged when it names a cause and does not say that this is a guess. That is a warning to whoever writes
and approves, never a refusal: people know what they mean, and a rule of words does not. What it looks for are the turn
        s
that status messages use ("due to", "door een", "wegen", "en raison de", "debido a"), not grammar.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from incidents.wording import UpdateText


@dataclass(frozen=True, slots=True)
class StatedCause:
    """A sentence that states a cause. `field`: where, as `texts.en.body`; `phrase`: what gives it away."""

    language: str
    field: str
    sentence: str
    phrase: str


def unconfirmed_statements(texts: Mapping[str, UpdateText], certainty: str) -> list[StatedCause]:
    """What the texts of an update with this certainty state as fact though it is not confirmed."""
    if certainty == "confirmed":
        return []
    return [
        StatedCause(language, f"texts.{language}.{field}", sentence, phrase)
        for language, text in texts.items()
        for field, said in text.prose()
        if field != "wrong"  # of a correction: there the cause is named to say that it was not so
        for sentence, phrase in stated_causes(said, language)
    ]


def stated_causes(text: str, language: str) -> Iterator[tuple[str, str]]:
    """The sentences of `text` that name a cause as fact, each with the words that do."""
    rule = _RULES.get(language)
    if rule is None:
        return
    for sentence in _SENTENCES.split(text):
        # A typed apostrophe is as good as a printed one.
        plain = sentence.replace("’", "'").replace("\u00a0", " ")
        if (found := rule.states.search(plain)) and not rule.hedges.search(plain):
            yield sentence.strip(), found[0].strip()


_SENTENCES = re.compile(r"(?<=[.!?…])\s+|\n+")


@dataclass(frozen=True, slots=True)
class _Rule:
    states: re.Pattern[str]
    hedges: re.Pattern[str]


def _rule(states: str, hedges: str) -> _Rule:
    flags = re.IGNORECASE | re.VERBOSE
    return _Rule(re.compile(states, flags), re.compile(hedges, flags))


_RULES = {
    # "Flights due to leave before 18:00" names no cause.
    "en": _rule(
        r"""\b(?: due\ to(?!\ (?:be|depart|leave|arrive|land|start|begin|end|board|finish|open|close|return|take)\b)
        | because\ of | owing\ to | caused\ by | as\ a\ (?:result|consequence)\ of | triggered\ by | brought\ down\ by
        | the\ (?:root\ )?cause\ (?:is|was|lies) | is\ to\ blame | are\ to\ blame | the\ result\ of )\b""",
        r"""\b(?: may | might | could | possibl[ey] | probabl[ey] | perhaps | likely | appears? | seems? | suspect\w*
        | believe[ds]? | assum\w+ | presumably | not\ (?:yet\ )?(?:known|confirmed|clear|sure) | unconfirmed | unknown
        | unclear | whether | investigating | looking\ into | finding\ out | find\ out | do\ not\ know
        | don't\ know )\b""",
    ),
    # Of "door" only what names a thing that happens: "door een medewerker" and "ga door de poort" name none.
    "nl": _rule(
        r"""\b(?: vanwege | wegens | (?:als|ten)\ gevolge?\ van | veroorzaakt\ door | dankzij
        | (?:komt|kwam|komen|kwamen|ontstaan|ontstond|ligt|lag|is|zijn|getroffen|gestoord|uitgevallen)\ door
        | door\ (?:(?:een|de|het|deze|dit|onze|hun|problemen|werk\w*)\ )?(?:\w+\ ){0,2}?(?:\w*(?:storing
        |storingen|fout|
          fouten|storm|sneeuw|stroom|brand|kabel\w*|breuk|aanval|hack|probleem|problemen|uitval|defect|lek\w*|staking|
          weer|update|onderhoud|overbelasting|drukte|mist|water|leverancier|software|werkzaamheden))
        | (?:de\ )?oorzaak\ (?:is|was|ligt|lag) | ligt\ aan | lag\ aan | te\ wijten\ aan )\b""",
        r"""\b(?: mogelijk\w* | misschien | waarschijnlijk\w* | vermoed\w* | wellicht | lijkt | lijken | zou
        | zouden | kan\ (?:komen|liggen|zijn)
        | kunnen\ zijn | nog\ niet | niet\ (?:bekend|bevestigd|zeker|duidelijk) | onbekend | onbevestigd
        | onduidelijk | nagaan
        | onderzoek\w* | zoeken\ uit | weten\ (?:we\ )?niet )\b""",
    ),
    "de": _rule(
        r"""\b(?: wegen | aufgrund | auf\ Grund | infolge | in\ Folge | verursacht | ausgelöst\ durch | bedingt\ durch
        | durch\ (?:eine[nrms]?\ |den\ |die\ |das\ |technische\ )?(?:\w+\ )?\w*(?:störung|fehler|ausfall|sturm
        |schnee|brand|
          bruch|angriff|defekt|streik|problem|probleme|überlastung|wartung|unwetter|panne|leck|stromausfall)
        | (?:die\ )?Ursache\ (?:ist|war|liegt|lag) | (?:der\ )?Grund\ (?:ist|war|dafür\ ist) | liegt\ an | lag\ an
        | zurückzuführen )\b""",
        r"""\b(?: möglicherweise | vielleicht | wahrscheinlich\w* | vermut\w* | voraussichtlich | scheint | scheinen
        | könnte\w* | dürfte\w* | womöglich | wohl | eventuell | mutmaßlich\w* | noch\ nicht
        | nicht\ (?:bekannt|bestätigt
        |klar|sicher) | unbekannt | unbestätigt | unklar | ob | untersuch\w* | prüfen
        | wissen\ (?:wir\ )?nicht )\b""",
    ),
    "fr": _rule(
        r"""(?: \bà\ cause\ d | \ben\ raison\ d | \bd[uû]e?s?\ (?:à|au|aux)\b | \bcausée?s?\ par | \bprovoquée?s?\ par
        | \bpar\ suite\ d | \bsuite\ (?:à|au|aux)\b | \bdu\ fait\ d | \brésulte\ d | \bentraînée?s?\ par
        | \bla\ cause\ (?:est|était) | \bgrâce\ (?:à|au|aux)\b )(?:es?\b|u\b|'|\b)""",
        r"""\b(?: peut[-\ ]être | probable\w* | possible\w* | sans\ doute | semble\w* | pourrai\w* | suppos\w*
        | soupçonn\w*
        | vraisemblable\w* | présum\w* | serai(?:t|ent) | pas\ (?:encore\ )?(?:connue?|confirmée?|claire?|sûrs?
        |établie?)
        | inconnue? | incertaine? | enquêt\w+ | cherchons | ne\ savons\ pas | ignorons )\b""",
    ),
    "es": _rule(
        r"""\b(?: debido\ a | a\ causa\ de | por\ culpa\ de | a\ raíz\ de | como\ consecuencia\ de | causad[oa]s?\ por
        | provocad[oa]s?\ por | ocasionad[oa]s?\ por | originad[oa]s?\ por | se\ debe[n]?\ a | se\ debió\ a
        | gracias\ a
        | la\ causa\ (?:es|fue|era|está) | por\ (?:un|una|el|la)\ (?:\w+\ )?(?:fallo|avería|error|apagón
        |tormenta|nevada|
          incendio|corte|rotura|ataque|ciberataque|huelga|problema|sobrecarga|temporal|incidencia)  )\b""",
        r"""\b(?: quizás? | tal\ vez | probable\w* | posible\w* | puede\ (?:ser|deberse|que) | podrían?
        | parece\w* | sospech\w*
        | supone\w*
        | presunt\w* | creemos | aún\ no | todavía\ no | no\ (?:está\ )?(?:confirmad[oa]|clar[oa]|segur[oa])
        | se\ desconoce
        | desconocid[oa] | desconocemos | investiga\w* | averigua\w* | no\ sabemos )\b""",
    ),
}
