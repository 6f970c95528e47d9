"""Sentences as status pages write them: which of them state a cause, and which only seem to."""

import pytest

from incidents.cause_wording import stated_causes, unconfirmed_statements
from tests.support.incidents import a_text

STATED = {
    "en": [
        "Check-in has stopped due to a network failure at our supplier.",
        "Flights are cancelled because of snow.",
        "The outage was caused by a cyberattack.",
        "The root cause is a cut cable.",
        "Owing to a fire in the data centre, calls fail.",
        "KPN is to blame.",
    ],
    "nl": [
        "Door een stroomstoring kunt u niet inchecken.",
        "De storing is veroorzaakt door een kabelbreuk in Utrecht.",
        "Vanwege sneeuw vallen alle vluchten uit.",
        "Wegens werkzaamheden is er geen internet.",
        "De oorzaak ligt bij KPN.",
        "Dit komt door een fout in de software.",
        "Inchecken of wijzigen kan niet door een storing.",
        "Bellen lukt niet door een grote landelijke storing.",
    ],
    "de": [
        "Wegen eines Stromausfalls ist der Check-in nicht möglich.",
        "Aufgrund einer Störung fallen Flüge aus.",
        "Der Ausfall wurde durch einen Kabelbruch verursacht.",
        "Die Ursache ist ein Fehler bei unserem Lieferanten.",
        "Das Problem ist auf ein Update zurückzuführen.",
    ],
    "fr": [
        "En raison d’une panne, l’enregistrement est impossible.",
        "L’incident est dû à une cyberattaque.",
        "Les vols sont annulés à cause de la neige.",
        "Suite à un incendie, le service est interrompu.",
        "La cause est un câble sectionné.",
    ],
    "es": [
        "Debido a un fallo eléctrico no se puede facturar.",
        "La avería fue causada por un ciberataque.",
        "Los vuelos se cancelan a causa de la nieve.",
        "La causa es un cable cortado.",
        "No hay internet por una avería en Madrid.",
    ],
}
HARMLESS = {
    "en": [
        "Flights due to depart before 18:00 are cancelled.",
        "This may be due to a network failure.",
        "We do not know yet whether this was caused by a supplier.",
        "We suspect that it happened because of snow; this is not confirmed.",
        "Please come to the desk with your booking.",
    ],
    "nl": [
        "U wordt geholpen door een medewerker.",
        "Loop door de poort naar gate 4.",
        "We zoeken uit waardoor dat komt.",
        "Waarschijnlijk komt dit door een storing bij een leverancier.",
        "Het is nog niet bekend of dit door een kabelbreuk komt.",
        "Ga door met uw reis.",
    ],
    "de": [
        "Bitte gehen Sie durch die Sicherheitskontrolle.",
        "Vermutlich liegt das an einer Störung beim Lieferanten.",
        "Ob der Ausfall durch einen Angriff verursacht wurde, ist noch nicht bekannt.",
        "Wir untersuchen die Ursache.",
    ],
    "fr": [
        "Nous cherchons la cause.",
        "L’incident est probablement dû à une panne.",
        "Nous ne savons pas encore si cela est dû à un fournisseur.",
        "Gardez votre réservation sous la main.",
    ],
    "es": [
        "Estamos investigando la causa.",
        "Probablemente se debe a un fallo de red.",
        "Todavía no sabemos si fue causado por un proveedor.",
        "Acuda al mostrador con su reserva.",
    ],
}


@pytest.mark.parametrize(("language", "sentence"), [(tag, one) for tag, all_ in STATED.items() for one in all_])
def test_a_cause_stated_as_fact_is_flagged(language: str, sentence: str) -> None:
    assert [said for said, _ in stated_causes(f"We are sorry. {sentence}", language)] == [sentence]


@pytest.mark.parametrize(("language", "sentence"), [(tag, one) for tag, all_ in HARMLESS.items() for one in all_])
def test_a_guess_that_says_so_and_words_that_name_no_cause_are_not(language: str, sentence: str) -> None:
    assert list(stated_causes(sentence, language)) == []


def test_what_is_confirmed_may_be_stated_and_each_flag_says_where() -> None:
    said = {"en": a_text(body="All is down.\nIt was caused by snow."), "nl": a_text(body="Het sneeuwt.")}
    (flag,) = unconfirmed_statements(said, "suspected")
    assert (flag.language, flag.field, flag.phrase) == ("en", "texts.en.body", "caused by")
    assert flag.sentence == "It was caused by snow."
    assert unconfirmed_statements(said, "confirmed") == []


def test_a_correction_may_name_what_it_takes_back() -> None:
    assert unconfirmed_statements({"en": a_text(wrong="We said it was due to snow.")}, "unknown") == []
