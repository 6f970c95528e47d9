"""What whoever approves an update sees of its texts: exactly what will be sent, how it is sent, and what it costs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foundation.database import Tx, driver
from notify.choosing import Audience, phones_by_prefix
from notify.messages import ChannelName, MessageText
from notify.sms_prices import Micro, Prices, country_of, written_amount
from notify.sms_spend import spending
from notify.sms_text import Encoding, Replacement, Written, write

# (planned, at most)
_Counts = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tariff:
    """What texts cost, and what those of one topic may cost in each currency."""

    prices: Prices
    caps: Mapping[str, Micro]


@dataclass(frozen=True, slots=True)
class TextPreview:
    """The text in one language. `recipients` get it at once, `at_most` if everybody's mail failed.

    `replacements`: what is not as it was written.
    """

    language: str
    text: str
    encoding: Encoding
    segments: int
    replacements: tuple[Replacement, ...]
    recipients: int
    at_most: int


@dataclass(frozen=True, slots=True)
class CostPreview:
    """The cost in one currency, as amounts for people. `within_cap`: false when not even what is planned fits."""

    currency: str
    segments: int
    cost: str
    at_most: str
    spent: str
    cap: str
    within_cap: bool


@dataclass(frozen=True, slots=True)
class SmsPreview:
    """`not_served`: countries with recipients and without a price or a sender, and how many live there."""

    texts: Sequence[TextPreview]
    costs: Sequence[CostPreview]
    not_served: Mapping[str, int]


async def preview_texts(
    tx: Tx, audience: Audience, texts: Sequence[MessageText], tariff: Tariff, *, topic: str
) -> SmsPreview:
    """What sending `texts` (as somebody wrote them) to `audience` would mean now; nothing is stored."""
    written = {one.language: write(one.body, one.language) for one in texts}
    languages = list(written)
    found: dict[tuple[str, str], _Counts] = {}
    ways: tuple[Sequence[ChannelName], Sequence[ChannelName]] = (("mail", "sms"), ("sms",))
    for way, channels in enumerate(ways):
        for language, phone, count in await phones_by_prefix(tx, audience, languages, channels, topic=topic):
            planned, at_most = found.get((language, phone), (0, 0))
            found[language, phone] = (planned + count, at_most) if way == 0 else (planned, at_most + count)
    spent = {one.currency: one.micro for one in await spending(await driver(tx), topic)}
    return SmsPreview(
        [_text(language, one, found) for language, one in written.items()],
        _costs(written, found, tariff, spent),
        _not_served(found, tariff.prices),
    )


def _text(language: str, written: Written, found: Mapping[tuple[str, str], _Counts]) -> TextPreview:
    counts = [count for (of, _), count in found.items() if of == language]
    return TextPreview(
        language,
        written.text,
        written.encoding,
        written.segments,
        written.replacements,
        sum(planned for planned, _ in counts),
        sum(at_most for _, at_most in counts),
    )


def _costs(
    written: Mapping[str, Written],
    found: Mapping[tuple[str, str], _Counts],
    tariff: Tariff,
    spent: Mapping[str, Micro],
) -> list[CostPreview]:
    segments: Counter[str] = Counter()
    cost: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for (language, phone), (planned, at_most) in found.items():
        price = tariff.prices.price(phone)
        if price is None or price.sender is None:
            continue
        size = written[language].segments
        segments[price.currency] += size * planned
        cost[price.currency] += size * planned * price.micro
        most[price.currency] += size * at_most * price.micro
    return [
        CostPreview(
            currency,
            segments[currency],
            written_amount(cost[currency], currency),
            written_amount(most[currency], currency),
            written_amount(spent.get(currency, 0), currency),
            written_amount(tariff.caps.get(currency, 0), currency),
            spent.get(currency, 0) + cost[currency] <= tariff.caps.get(currency, 0),
        )
        for currency in sorted(segments)
    ]


def _not_served(found: Mapping[tuple[str, str], _Counts], prices: Prices) -> dict[str, int]:
    missing: Counter[str] = Counter()
    for (_, phone), (_, at_most) in found.items():
        price = prices.price(phone)
        if price is None or price.sender is None:
            missing[country_of(phone)] += at_most
    return dict(sorted(missing.items()))
