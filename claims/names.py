"""How well two names agree, when people type theirs in a hurry: initials, order, missing parts, one slip of the finger.

Pure, over names folded by `notify.fold_name`. It knows nothing of customers.
"""

from enum import IntEnum

# Words that many surnames have in front; agreeing on these alone says nothing.
PARTICLES = frozenset(
    ["al", "bin", "da", "das", "de", "del", "della", "den", "der", "di", "do", "dos", "du", "el", "la", "las", "le"]
) | frozenset(["les", "los", "of", "op", "ten", "ter", "the", "van", "von", "y", "zu"])


class Agreement(IntEnum):
    """From none to the same; a higher one beats a lower one."""

    NONE = 0
    PART = 1  # one word in common
    LIKELY = 2  # all words agree, allowing for initials, missing middle names and a slip
    SAME = 3  # the same words, in any order


def agreement(said: str, known: str) -> Agreement:
    """How well a name somebody gave agrees with one we know; both folded."""
    ours, theirs = known.split(), said.split()
    if sorted(ours) == sorted(theirs):
        return Agreement.SAME if ours else Agreement.NONE
    shorter, longer = sorted((theirs, ours), key=len)
    if len(_telling(shorter)) > 1 and _all_agree(shorter, longer):
        return Agreement.LIKELY
    if any(_alike(one, other) for one in _telling(theirs) if len(one) > 1 for other in _telling(ours)):
        return Agreement.PART
    return Agreement.NONE


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
