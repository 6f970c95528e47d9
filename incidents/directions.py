"""What tells programs where to look: robots.txt and the map of the site. Pure."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from foundation.languages import SPOKEN
from incidents.snapshot import PastIncident, ShownIncident
from incidents.statuspage_v2 import Publisher

# Forms, cases and the desk: nothing of them is for a search engine.
_NOT_FOR_ROBOTS = (
    *("/api/v1/", "/case", "/check", "/claim", "/desk/", "/events", "/follow", "/search", "/t/", "/track", "/u/"),
)
MOST_ADDRESSES = 1000
_SITEMAP, _XHTML = "http://www.sitemaps.org/schemas/sitemap/0.9", "http://www.w3.org/1999/xhtml"


def directions(known: Sequence[ShownIncident | PastIncident], publisher: Publisher) -> dict[str, bytes]:
    """`robots.txt` and `sitemap.xml`, which names every page in every language."""
    kept_out = [f"Disallow: {path}" for path in _NOT_FOR_ROBOTS]
    rules = ["User-agent: *", *kept_out, f"Sitemap: {publisher.url}/sitemap.xml"]
    sitemap = Element("urlset", {"xmlns": _SITEMAP, "xmlns:xhtml": _XHTML})
    for path in ("/", "/history", *(f"/incidents/{one.id}" for one in known[:MOST_ADDRESSES])):
        _add(sitemap, f"{publisher.url}{path}")
    written = b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(sitemap, encoding="utf-8")
    return {"robots.txt": "\n".join([*rules, ""]).encode(), "sitemap.xml": written}


def _add(sitemap: Element, address: str) -> None:
    place = SubElement(sitemap, "url")
    SubElement(place, "loc").text = f"{address}?lang={SPOKEN[0]}"
    for language in SPOKEN:
        SubElement(place, "xhtml:link", rel="alternate", hreflang=language, href=f"{address}?lang={language}")
