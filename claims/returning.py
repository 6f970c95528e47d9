"""What comes back to what we wrote: which contact an answer continues, and the incident it is about.

The address it came to is signed and names the delivery; the delivery's topic names our reply or acknowledgement. So
this is proof, whatever the answer itself says.
"""

import re
from collections.abc import Mapping

from claims.threading import Thread, keep_threads
from foundation.database import Tx, driver

_REPLY = re.compile(r"case:C-\d{1,18}:(\d{1,18})")
_ACKNOWLEDGEMENT = re.compile(r"acknowledgement:(\d{1,18})")

_REPLIES = """
SELECT r.id, c.incident_id, r.contact_ids[cardinality(r.contact_ids)] AS contact_id
  FROM replies r JOIN cases c ON c.id = r.case_id WHERE r.id = ANY ($1::bigint[])
"""
_CONTACTS = "SELECT id, incident_id, id AS contact_id FROM contacts WHERE id = ANY ($1::bigint[])"


async def returned(tx: Tx, topics: Mapping[int, str]) -> dict[int, Thread]:
    """Contact → what it continues, for contacts that answer messages of these topics; the others are left out."""
    found: dict[int, Thread] = {}
    for pattern, query in ((_REPLY, _REPLIES), (_ACKNOWLEDGEMENT, _CONTACTS)):
        asked = {contact: int(match[1]) for contact, topic in topics.items() if (match := pattern.fullmatch(topic))}
        rows = await (await driver(tx)).fetch(query, list(asked.values())) if asked else []
        known = {row["id"]: row for row in rows}
        for contact, named in asked.items():
            if (row := known.get(named)) is not None and row["contact_id"] is not None:
                found[contact] = Thread(row["contact_id"], row["incident_id"])
    await keep_threads(await driver(tx), found)
    return found
