"""What people type when a form asks for something they do not have: `unknown`, `none@none.com`, 0000000000.

Many strangers type the same, so none of it says who wrote. Pure; it knows nothing of clues and customers.
"""

import re

from notify import fold_reference

# As `fold_reference` leaves them. A text made of these words alone says nothing.
_ENGLISH = (
    "A BOOKING CODE CUSTOMER DO DONT DONTKNOW EMPTY FORGOT FORGOTTEN HAVE I IDEA KNOW LOST MISSING MY NA NIL "
    "NO NOIDEA NONE NOT NUMBER NULL PNR REF REFERENCE SAME TBA TBC TBD TEST TESTING THE TICKET UNDEFINED "
    "UNKNOWN"
)
_DUTCH = (
    "BOEKING BOEKINGSNUMMER DEZELFDE GEEN HEB HETZELFDE IDEE IK KLANTNUMMER KWIJT NIET NUMMER NVT ONBEKEND "
    "REFERENTIE REFERENTIENUMMER VERGETEN WEET ZELFDE"
)
_GERMAN = (
    "BUCHUNG BUCHUNGSNUMMER DIESELBE HABE ICH KEIN KEINE KEINEN KUNDENNUMMER NICHT REFERENZ UNBEKANNT VERGESSEN WEISS"
)
_FRENCH = "AUCUN AUCUNE CONNAIS INCONNU INCONNUE JE MEME NUMERO OUBLIE PAS RESERVATION SAIS SANS"
_SPANISH = "DESCONOCIDA DESCONOCIDO LO MISMA MISMO NINGUN NINGUNA NINGUNO OLVIDE RESERVA SE SIN"
_SAY_NOTHING = frozenset(f"{_ENGLISH} {_DUTCH} {_GERMAN} {_FRENCH} {_SPANISH}".split())
_COUNTING = ("123456789", "987654321")
_NOBODY = frozenset(["donotreply", "geen", "geenmail", "noemail", "nomail", "none", "noreply", "onbekend", "unknown"])
_TRYING = frozenset(["example", "mail", "no", "none", "nomail", "test", "testing"])


def says_nothing(text: str) -> bool:
    """Whether a booking or customer number is none: only words that say so, or one letter all along."""
    words = [folded for word in text.split() if (folded := fold_reference(word))]
    whole = "".join(words)
    return all(word in _SAY_NOTHING for word in words) or (len(set(whole)) == 1 and whole.isalpha())


def tells_apart(code: str) -> bool:
    """Whether contacts with this folded code, which the directory does not have, may be about one booking.

    Without a digit and short it is a word; one digit all along or counting from one is what people type who must type.
    """
    if says_nothing(code) or len(set(code)) == 1 or "1234567890".startswith(code):
        return False
    return len(code) >= 5 or any(letter.isdigit() for letter in code)


def is_nobodys_mail(address: str) -> bool:
    """Whether a normalised address stands for none: `none@none.com`, `no@no.no`, `test@test.nl`, `noreply@…`."""
    name, _, domain = address.rpartition("@")
    name, where = re.sub(r"[^a-z0-9]", "", name), domain.partition(".")[0]
    return name in _NOBODY or (name in _TRYING and where in _TRYING) or (name == where and len(set(name)) == 1)


def is_nobodys_phone(text: str) -> bool:
    """Whether a phone number is one digit all along, or counts up or down."""
    digits = re.sub(r"\D", "", text)
    return len(set(digits)) == 1 or any(counting in digits for counting in _COUNTING)
