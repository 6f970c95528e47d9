"""What sending texts means for money and proof: set aside at the claim, given back or kept when recorded.

A `sender.Purse`. The rules and the SQL are those of `sms_spend` and `sms_proof`.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

from foundation.database import Driver
from notify.channels import Accepted, Outgoing, Result, Unclear
from notify.channels.sms import SmsChannel
from notify.sms_prices import Micro
from notify.sms_proof import store_parts
from notify.sms_spend import release, reserve_each


def _topic(one: Outgoing) -> str:
    return one.message.topic


class SmsPurse:
    """Pays for the texts of `channel` out of `caps` (per currency, for each incident)."""

    def __init__(self, channel: SmsChannel, caps: Mapping[str, Micro]) -> None:
        self._channel = channel
        self._caps = caps

    async def admit(self, connection: Driver, outgoing: Sequence[Outgoing]) -> set[int]:
        """Set aside what these would cost; the ids of those for which there is no money left."""
        refused: set[int] = set()
        # In the order of topics, so that two claims do not wait for each other in a circle.
        for topic, members in groupby(sorted(outgoing, key=_topic), _topic):
            priced = [(one.id, cost) for one in members if (cost := self._channel.cost(one)) is not None]
            allowed = await reserve_each(connection, topic, [cost for _, cost in priced], self._caps)
            refused |= {key for (key, _), may in zip(priced, allowed, strict=True) if not may}
        return refused

    async def settle(self, connection: Driver, results: Sequence[tuple[Outgoing, Result]]) -> None:
        """Remember what centres call what they took, and give back the money for what they did not."""
        await store_parts(
            connection, [(one.id, result.parts) for one, result in results if isinstance(result, Accepted)]
        )
        untaken = [one for one, result in results if not isinstance(result, Accepted | Unclear)]
        for topic, members in groupby(sorted(untaken, key=_topic), _topic):
            costs = [cost for one in members if (cost := self._channel.cost(one)) is not None]
            await release(connection, topic, costs)
