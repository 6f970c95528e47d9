"""How bad an incident is: computed from what its updates made of its components, unless somebody set it by hand."""

from itertools import groupby

from sqlalchemy import text

from foundation.database import Tx
from incidents.audience import AFFECTED
from incidents.lifecycle import Impact
from incidents.roll_up import impact_of, worst_impact

# A few rows whatever the number of components: what each update left its incident's own components in.
_LEFT_IN = text(
    AFFECTED
    + """
SELECT u.number, uc.new_status AS status, count(*) AS components
  FROM updates u JOIN update_components uc ON uc.update_id = u.id JOIN named n ON n.key = uc.component_key
 WHERE u.incident_id = :incident_id AND u.state = 'published'
 GROUP BY u.number, uc.new_status
 ORDER BY u.number
"""
)
_STORE = text(
    """
UPDATE incidents SET impact = coalesce(impact_set, :computed)
 WHERE id = :incident_id AND impact IS DISTINCT FROM coalesce(impact_set, :computed)
"""
)


async def computed_impact(tx: Tx, incident_id: str, *, over: bool) -> Impact:
    """The impact by its components: as they stand since the newest update; of what is over, the worst there was."""
    rows = (await tx.execute(_LEFT_IN, {"incident_id": incident_id})).all()
    impacts = [
        impact_of(row.status for row in group for _ in range(row.components))
        for _, group in groupby(rows, key=lambda row: row.number)
    ]
    return worst_impact(impacts if over else impacts[-1:])


async def restate_impact(tx: Tx, incident_id: str, *, over: bool) -> None:
    """Bring the incident's impact up to date; one set by hand stays."""
    computed = await computed_impact(tx, incident_id, over=over)
    await tx.execute(_STORE, {"incident_id": incident_id, "computed": computed})
