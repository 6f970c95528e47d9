"""How much two contacts resemble each other: what both say, how well it agrees, and what that is worth.

Pure. Weights in the manner of Fellegi and Sunter: each is how many bits an agreement speaks for one person (or, below
nothing, against), learned once from labelled data other than that of `stormdesk bench identity`, within bounds that
keep sense (see docs/decisions). They are the same for every incident, so that the order of arrival cannot matter.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple

from rapidfuzz.distance import OSA, JaroWinkler

from claims.identity import Key
from claims.profiles import Profile, full_name

Outcome = Literal["join", "review", "apart"]
Level = Literal["same", "near", "like", "part", "crossed", "common", "mixed", "shared", "household", "family", "other"]

# What it takes before two contacts are one person's: two strangers of a storm rarely have anything in common.
PRIOR = -7.1
JOIN = 2.0
REVIEW = 0.0

WEIGHTS: dict[str, dict[Level, float]] = {
    # A name that very many in the incident have is `common`; another first name with the same surname is `family`. One
    # that has the other's letters, in disorder, doubled or with more between, is `mixed`.
    "given": {
        "same": 2.0,
        "near": 1.6,
        "like": 1.5,
        "part": 1.5,
        "crossed": 1.9,
        "common": 1.0,
        "mixed": -1.0,
        "family": -4.2,
        "other": -4.2,
    },
    "surname": {
        "same": 3.5,
        "near": 3.4,
        "like": 2.5,
        "part": 3.0,
        "crossed": 3.1,
        "common": 2.0,
        "mixed": 0.0,
        "other": -1.0,
    },
    "birth_date": {"same": 6.0, "near": 4.9, "like": 3.0, "other": -3.0},
    "postcode": {"same": 5.0, "near": 3.5, "other": -1.0},
    "house": {"same": 2.3, "other": -1.0},
    "street": {"same": 4.8, "near": 4.2, "like": 2.9, "other": -1.0},
    "suburb": {"same": 4.0, "near": 2.9, "like": 2.0, "other": -1.0},
    "region": {"same": 1.5, "other": -1.5},
    # A value used under more names than one person has is `shared`, and says nothing.
    "mail": {"same": 6.0, "near": 5.8, "like": 5.0, "part": 1.5, "shared": 0.0, "other": -1.5},
    "phone": {"same": 5.0, "near": 4.9, "like": 3.0, "shared": 0.0, "other": -1.5},
    "reference": {"same": 7.0, "near": 4.0, "like": 0.5, "shared": 0.0, "other": -1.0},
    "customer_number": {"same": 9.5, "near": 5.5, "like": 1.5, "shared": 0.0, "other": -3.2},
}
# What the members of a family have in common; of these only the best counts between two of one surname.
_OF_A_HOUSEHOLD = ("mail", "phone", "reference")
# Where one of these differs, somebody must look before two contacts join on little.
_TELLING = frozenset(["given", "surname", "birth_date", "mail", "phone", "reference", "customer_number"])
_BEST_FIRST: tuple[Level, ...] = ("same", "near", "like", "part", "mixed", "other")


class Agreed(NamedTuple):
    """Something both contacts say, how well it agrees, and the bits that speaks for one person."""

    field: str
    level: Level
    weight: float


class Resemblance(NamedTuple):
    """What comes of comparing two contacts."""

    outcome: Outcome
    weight: float
    agreed: Sequence[Agreed]


def is_named(profile: Profile) -> bool:
    """Whether a contact says a name at all. One that does not is judged by mail and phone alone."""
    return bool(profile.given or profile.surname)


def resemblance(one: Profile, other: Profile, shared: AbstractSet[Key] = frozenset()) -> Resemblance:
    """How much two contacts resemble each other. `shared`: the keys that have lost their force.

    Without a name on either side an equal mail or phone joins, unless more speaks against it; who else has used it is
    for `claims.grouping` to see. Nothing else does: what people type in a hurry is not enough to go by without a name.
    """
    agreed = [Agreed(field, level, WEIGHTS[field][level]) for field, level in compare(one, other, shared)]
    if any(each.level == "family" for each in agreed):
        agreed = _as_a_household(agreed)
    weight = round(PRIOR + sum(each.weight for each in agreed), 2)
    if not (is_named(one) and is_named(other)):
        held = [each for each in agreed if each.field in ("mail", "phone") and each.level == "same"]
        against = sum(each.weight for each in agreed if each.weight < 0)
        return Resemblance("join" if held and against > -2 else "apart", weight, agreed)
    if weight >= JOIN or (weight >= REVIEW and _agree_throughout(agreed)):
        return Resemblance("join", weight, agreed)
    return Resemblance("review" if weight >= REVIEW else "apart", weight, agreed)


def _agree_throughout(agreed: Sequence[Agreed]) -> bool:
    """Whether both say the same mail or phone and a first name that agrees, and nothing else that tells people differs.

    Without first names it would be a household's phone and surname, and whoever wrote so would make its members one.
    """
    telling = [each for each in agreed if each.field in _TELLING]
    return (
        any(each.field == "given" for each in telling)
        and any(each.field in ("mail", "phone") and each.level == "same" for each in telling)
        and all(each.weight >= 0 for each in telling)
    )


def _as_a_household(agreed: Sequence[Agreed]) -> list[Agreed]:
    best = max((each.weight for each in agreed if each.field in _OF_A_HOUSEHOLD), default=0.0)
    counted = False
    found = []
    for each in agreed:
        if each.field in _OF_A_HOUSEHOLD and each.weight > 0:
            if counted or each.weight < best:
                found.append(Agreed(each.field, "household", 0.0))
                continue
            counted = True
        found.append(each)
    return found


def compare(one: Profile, other: Profile, shared: AbstractSet[Key]) -> Iterator[tuple[str, Level]]:
    """(field, level) for everything that both say."""
    yield from _names(one, other, shared)
    yield from _whereabouts(one, other)
    if one.mails and other.mails:
        yield "mail", _best(_mails(one, other, shared))
    if one.phone and other.phone:
        yield "phone", _phones(one, other, shared)
    if one.references and other.references:
        yield "reference", _best(_numbers(one.references, other.references, shared))
    if one.numbers and other.numbers:
        yield "customer_number", _best(_numbers(one.numbers, other.numbers, shared))


def _whereabouts(one: Profile, other: Profile) -> Iterator[tuple[str, Level]]:
    if one.birth_date and other.birth_date:
        yield "birth_date", _dates(one.birth_date, other.birth_date)
    if one.postcode and other.postcode:
        yield "postcode", _codes(one.postcode, other.postcode, near=1, far=1)
    if one.house and other.house:
        yield "house", "same" if one.house == other.house else "other"
    if one.street and other.street:
        yield "street", _words(one.street, other.street)
    if one.suburb and other.suburb:
        yield "suburb", _words(one.suburb, other.suburb)
    if one.region and other.region:
        yield "region", "same" if one.region == other.region else "other"


def _names(one: Profile, other: Profile, shared: AbstractSet[Key]) -> Iterator[tuple[str, Level]]:
    given, surname = _name(one.given, other.given), _name(one.surname, other.surname)
    if given and surname and (one.given != other.given or one.surname != other.surname):
        crossed = _name(one.given, other.surname), _name(one.surname, other.given)
        if _rank(*crossed) + 2 < _rank(given, surname) and not {"other", "mixed"} & set(crossed):
            given = surname = "crossed"
    elif given and surname and full_name(one) in shared:
        given = surname = "common"
    if given in ("other", "mixed") and surname in ("same", "near"):
        given = "family"
    elif not given or not surname or "other" in (given, surname):
        # One name in disorder may be another one: Anna and Nadia. Both say that it is the writing.
        given, surname = (("other" if level == "mixed" else level) for level in (given, surname))
    if given:
        yield "given", given
    if surname:
        yield "surname", surname


def _rank(*levels: Level | None) -> int:
    return sum(_BEST_FIRST.index(level) for level in levels if level)


def _name(one: str, other: str) -> Level | None:
    if not one or not other:
        return None
    if one == other:
        return "same"
    alike = JaroWinkler.similarity(one, other)
    if alike >= 0.92:
        return "near"
    if one.startswith(other) or other.startswith(one):
        return "part"
    return "like" if alike >= 0.8 else "mixed" if _in_disorder(one, other) else "other"


def _in_disorder(one: str, other: str) -> bool:
    """Whether of the shorter name (three letters or more) three in four are in the longer one, wherever they stand."""
    shorter, longer = sorted((one.replace(" ", ""), other.replace(" ", "")), key=len)
    if len(shorter) < 3:
        return False
    left = Counter(longer)
    return sum(min(count, left[letter]) for letter, count in Counter(shorter).items()) >= 0.75 * len(shorter)


def _words(one: str, other: str) -> Level:
    if one == other:
        return "same"
    alike = JaroWinkler.similarity(one, other)
    return "near" if alike >= 0.9 else "like" if alike >= 0.8 else "other"


def _dates(one: str, other: str) -> Level:
    if one[:4] == other[:4] and one[4:6] == other[6:] and one[6:] == other[4:6] and one != other:
        return "near"
    return _codes(one, other, near=1, far=2)


def _codes(one: str, other: str, *, near: int, far: int) -> Level:
    if one == other:
        return "same"
    distance = OSA.distance(one, other, score_cutoff=far)
    return "near" if distance <= near else "like" if distance <= far else "other"


def _best(levels: Iterator[Level]) -> Level:
    found = set(levels)
    return next(level for level in (*_BEST_FIRST[:-1], "shared", "other") if level in found)


def _numbers(ones: Sequence[str], others: Sequence[str], shared: AbstractSet[Key]) -> Iterator[Level]:
    for one in ones:
        for other in others:
            level = _codes(one, other, near=1, far=2)
            yield "shared" if level == "same" and Key("by code", one) in shared else level


def _mails(one: Profile, other: Profile, shared: AbstractSet[Key]) -> Iterator[Level]:
    for mail in one.mails:
        for theirs in other.mails:
            level = _mail(mail, theirs)
            yield "shared" if level == "same" and Key("mail", mail) in shared else level


def _mail(one: str, other: str) -> Level:
    if one == other:
        return "same"
    if OSA.distance(one, other, score_cutoff=2) <= 2:
        return "near"
    local, theirs = one.partition("@")[0], other.partition("@")[0]
    if local == theirs or OSA.distance(local, theirs, score_cutoff=2) <= 2:
        return "like"
    return "part" if JaroWinkler.similarity(local, theirs) >= 0.9 else "other"


def _phones(one: Profile, other: Profile, shared: AbstractSet[Key]) -> Level:
    if one.phone[-9:] == other.phone[-9:]:
        return "shared" if Key("by phone", one.phone[-9:]) in shared else "same"
    return _codes(one.phone, other.phone, near=1, far=3)
