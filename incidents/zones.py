"""The time zones a reader can have the page in, besides its own: a closed list, so that few are made. Pure."""

from functools import lru_cache
from zoneinfo import ZoneInfo

from babel.dates import get_timezone_location

OFFERED = (
    "UTC", "Pacific/Honolulu", "America/Anchorage", "America/Los_Angeles", "America/Denver", "America/Mexico_City",
    "America/Chicago", "America/New_York", "America/Toronto", "America/Bogota", "America/Sao_Paulo",
    "America/Argentina/Buenos_Aires", "Atlantic/Azores", "Europe/London", "Europe/Lisbon", "Europe/Madrid",
    "Europe/Paris", "Europe/Amsterdam", "Europe/Berlin", "Europe/Rome", "Europe/Warsaw", "Europe/Athens",
    "Europe/Istanbul", "Africa/Casablanca", "Africa/Lagos", "Africa/Cairo", "Africa/Johannesburg", "Africa/Nairobi",
    "Asia/Dubai", "Asia/Kolkata", "Asia/Bangkok", "Asia/Singapore", "Asia/Shanghai", "Asia/Tokyo",
    "Australia/Perth", "Australia/Sydney", "Pacific/Auckland",
)  # fmt: skip


@lru_cache
def zone_choices(language: str) -> tuple[tuple[str, str], ...]:
    """(IANA name, the city in `language`) of every zone offered, from west to east."""
    return tuple((zone, zone_city(zone, language)) for zone in OFFERED)


def zone_city(zone: str, language: str) -> str:
    """What people call a zone: the city it is named for."""
    if zone in ("UTC", "Etc/UTC"):
        return "UTC"
    return get_timezone_location(ZoneInfo(zone), locale=language, return_city=True) or zone.replace("_", " ")
