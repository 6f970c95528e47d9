"""How well two names agree, when people type theirs in a hurry: initials, order, missing parts, one slip of the finger.

Pure, over names folded by `notify.fold_name`. It knows nothing of customers.
"""

from enum import IntEnum

# Words that many surnames have in front; agreeing on these alone says nothing.
PARTICLES = frozenset(
    ["al", "bin", "da", "das", "de", "del", "della", "den", "der", "di", "do", "dos", "du", "el", "la", "las", "le"]
) | frozenset(["les", "los", "of", "op", "ten", "ter", "the", "van", "von", "y", "zu"])

# Forms of address. The first are nowhere part of a name; the others are when they do not stand in front.
_TITLES = frozenset(["dhr", "dr", "drs", "mevr", "mlle", "mme", "mr", "mrs", "ms", "mw", "mx", "prof", "sr", "sra"])
_TITLES_IN_FRONT = frozenset(
    ["doctor", "dott", "fam", "familie", "frau", "fraulein", "fru", "heer", "herr", "hr", "ing", "ir", "jr", "madame"]
) | frozenset(["mej", "mevrouw", "miss", "mister", "monsieur", "professor", "senor", "senora", "sig", "sir", "srta"])


class Agreement(IntEnum):
    """From none to the same; a higher one beats a lower one."""

    NONE = 0
    PART = 1  # one word in common
    LIKELY = 2  # all words agree, allowing for initials, missing middle names and a slip
    SAME = 3  # the same words, in any order


def agreement(said: str, known: str) -> Agreement:
    """How well a name somebody gave agrees with one we know; both folded. Forms of address do not count."""
    ours, theirs = name_words(known), name_words(said)
    if sorted(ours) == sorted(theirs):
        return Agreement.SAME if ours else Agreement.NONE
    shorter, longer = sorted((theirs, ours), key=len)
    if _same_letters(theirs, ours):
        return Agreement.LIKELY
    if len(_telling(shorter)) > 1 and _all_agree(shorter, longer):
        return Agreement.LIKELY
    if any(_alike(one, other) for one in _telling(theirs) if len(one) > 1 for other in _telling(ours)):
        return Agreement.PART
    return Agreement.NONE


def surname_agrees(said: str, known: str) -> bool:
    """Whether the surnames agree too, whatever else does: an equal first name is chance. Both folded.

    Every word behind the first may be a surname, as many people have two and give one. Where all words agree, they may
    stand in another order.
    """
    level = agreement(said, known)
    if level is Agreement.NONE:
        return False
    if level is Agreement.SAME or _same_letters(name_words(said), name_words(known)):
        return True
    theirs, ours = _telling(name_words(said)), _telling(name_words(known))
    if level is Agreement.PART:
        return any(_alike(one, other) for one in _behind(theirs) if len(one) > 1 for other in _behind(ours))
    pairs = [(one, other, place + position) for place, one in enumerate(theirs) for position, other in enumerate(ours)]
    return any(behind and len(one) > 1 and _alike(one, other) for one, other, behind in pairs)


def agrees_so_far(said: str, known: str) -> bool:
    """Whether nothing that was said speaks against `known`: the surname agrees, or a first name is all there is."""
    return surname_agrees(said, known) or (len(name_words(said)) == 1 and agreement(said, known) > Agreement.NONE)


def name_words(name: str) -> list[str]:
    """The words of a folded name without forms of address; none when it is nothing but these."""
    words = [word for word in name.split() if word not in _TITLES]
    while words and words[0] in _TITLES_IN_FRONT:
        words = words[1:]
    # `De heer Jansen` is Mr Jansen; Jan de Heer is called so.
    return words[2:] if words[:2] == ["de", "heer"] and len(words) > 2 else words


def _same_letters(words: list[str], others: list[str]) -> bool:
    """Whether two names are one but for their spaces or two letters exchanged: `Sjoerd deB ruyn`, `Dean de oBer`."""
    one, other = "".join(words), "".join(others)
    if len(one) != len(other) or not one:
        return False
    differ = [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(differ) != 2:
        return not differ
    first, second = differ
    return second == first + 1 and one[first] == other[second] and one[second] == other[first]


def _behind(words: list[str]) -> list[str]:
    return words[1:] or words


def _telling(words: list[str]) -> list[str]:
    """The words of a name that say something. At the end Le, Las and Do are surnames, not particles."""
    return [word for place, word in enumerate(words) if word not in PARTICLES or place == len(words) - 1]


def _all_agree(words: list[str], among: list[str]) -> bool:
    """Whether each of `words` is one of `among` (its initial counts), at least one of them in full."""
    left = list(among)
    in_full = False
    for word in sorted(words, key=len, reverse=True):
        found = next((one for one in left if _alike(word, one)), None)
        if found is not None and word not in PARTICLES:
            in_full = True
        if found is None:
            found = next((one for one in left if 1 in (len(one), len(word)) and one[0] == word[0]), None)
        if found is None:
            return False
        left.remove(found)
    return in_full


def _alike(one: str, other: str) -> bool:
    """The same word, or one letter away from it when it is long enough for that to be a slip."""
    if one == other:
        return True
    if min(len(one), len(other)) < 5 or abs(len(one) - len(other)) > 1:
        return False
    return _one_slip(one, other)


def _one_slip(one: str, other: str) -> bool:
    start = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if start is None:
        return True  # the longer one has a letter more at its end
    a, b = one[start:], other[start:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
