"""Parts what somebody wrote in a mail from what they quote, for showing (`quotequail`). Pure; nothing is lost."""

import quotequail

_LONGEST = 64 * 1024


def parted(text: str) -> tuple[str, str]:
    """(own words, what they quote). Where all of it seems quoted, it is taken for their own: nobody is silent."""
    text, rest = text[:_LONGEST], text[_LONGEST:]
    found = quotequail.unwrap(text)
    if found is not None and (own := "\n".join(_said(found, "text_top", "text_bottom"))):
        return own, "\n".join([*_said(found, "text"), *([rest] if rest else [])])
    pieces = quotequail.quote(text)
    own = "\n".join(piece for is_own, piece in pieces if is_own).strip()
    if not own:
        return text + rest, ""
    return own, "\n".join([*(piece for is_own, piece in pieces if not is_own), rest]).strip()


def _said(found: dict[str, str], *names: str) -> list[str]:
    return [found[name].strip() for name in names if found.get(name, "").strip()]
