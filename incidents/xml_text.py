"""What text may be inside XML 1.0, whoever writes it: a feed or an alert must not break over one character. Pure."""

import re

# What XML 1.0 cannot hold in any spelling. Nothing of ours should have it; what is imported may.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def xml_text(text: str) -> str:
    """`text` without what cannot stand in XML; escaping is left to whatever writes it."""
    return _NOT_XML.sub("", text)
