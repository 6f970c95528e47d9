"""Relays: their URLs, whose turn it is, and how one that fails is left and comes back."""

from collections import Counter

import pytest

from notify.channels.relay_health import Patience
from notify.channels.relays import Berth, Relays, relay_from


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _relays(*urls: str, clock: _Clock | None = None) -> Relays:
    return Relays(urls, patience=Patience(), now=clock or _Clock())


def _take(relays: Relays) -> Berth:
    berth = relays.take()
    assert berth is not None
    return berth


def _turns(relays: Relays, count: int) -> Counter[str]:
    """Whose turn it was, when every place is given back at once."""
    turns: Counter[str] = Counter()
    for _ in range(count):
        berth = _take(relays)
        turns[berth.relay.host] += 1
        relays.give_back(berth)
    return turns


def _batch(berth: Berth, *, sent: int = 0, refused: int = 0, broken: int = 0, others: int = 0) -> None:
    berth.health.counted(sent=sent, refused=refused, broken=broken, others=others, trouble="554 no")


def test_a_url_says_where_and_on_what_terms() -> None:
    relay = relay_from("smtp://zoe:s%40cret@mail.example.org:587?weight=3&connections=5&per_connection=100")
    assert (relay.host, relay.port, relay.security) == ("mail.example.org", 587, "starttls")
    assert (relay.user, relay.password) == ("zoe", "s@cret")
    assert (relay.weight, relay.connections, relay.per_connection) == (3, 5, 100)
    assert "cret" not in repr(relay)


@pytest.mark.parametrize(
    ("url", "port", "security"),
    [
        ("smtp://a", 25, "offered"),
        ("smtp://a?tls=off", 25, "off"),
        ("smtp://a?tls=required", 25, "starttls"),
        ("smtp://a?ca=/etc/ca.pem", 25, "starttls"),
        ("smtp://u:p@a", 25, "starttls"),
        ("smtps://a", 465, "tls"),
        ("smtps://a?tls=required", 465, "tls"),
    ],
)
def test_encryption_follows_from_the_url(url: str, port: int, security: str) -> None:
    relay = relay_from(url)
    assert (relay.port, relay.security) == (port, security)


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "smtp://",
        "smtp://a?tls=maybe",
        "smtp://u:p@a?tls=off",
        "smtp://u:p@a?tls=offered",
        "smtp://a?ca=/x.pem&tls=offered",
        "smtps://a?tls=off",
        "smtp://a?weight=0",
        "smtp://a?weight=-1",
        "smtp://a?connections=many",
        "smtp://a?per_connection=",
        "smtp://a?wieght=3",
        "smtp://a?fingerprint=md5:00",
        "smtp://a?fingerprint=sha256:12",
        "smtp://a:99999",
    ],
)
def test_a_url_that_says_something_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        relay_from(url)


def test_a_fingerprint_may_be_written_as_openssl_writes_it() -> None:
    digits = "AB:" * 31 + "CD"
    assert relay_from(f"smtp://a?fingerprint=SHA256:{digits}").fingerprints == ("ab" * 31 + "cd",)


def test_turns_follow_the_weights_and_are_spread() -> None:
    relays = _relays("smtp://a?weight=3", "smtp://b")
    order = [next(iter(_turns(relays, 1))) for _ in range(8)]
    assert order == ["a", "a", "b", "a", "a", "a", "b", "a"]


def test_a_full_relay_is_passed_over_and_all_full_means_wait() -> None:
    relays = _relays("smtp://a?connections=2", "smtp://b?connections=1")
    taken = [_take(relays) for _ in range(3)]
    assert Counter(one.relay.host for one in taken) == {"a": 2, "b": 1}
    assert relays.take() is None
    relays.give_back(taken[0])
    assert _take(relays) is taken[0]


def test_a_relay_that_is_away_is_left_for_a_time_that_doubles() -> None:
    clock = _Clock()
    relays = _relays("smtp://a", clock=clock)
    pauses = []
    for _ in range(12):
        _take(relays).health.failed("gone", hard=True)
        assert relays.take() is None
        pauses.append(relays.seconds_until_next())
        clock.now += relays.seconds_until_next()
    assert 0.25 <= pauses[0] <= 0.375
    assert all(0.25 * 2**n <= pause <= 45 for n, pause in enumerate(pauses[:7]))
    assert 30 <= pauses[-1] <= 45
    assert relays.health()[0].failures == 12
    assert relays.health()[0].trouble == "gone"


def test_many_lanes_finding_out_together_count_once() -> None:
    relays = _relays("smtp://a")
    lanes = [_take(relays) for _ in range(5)]
    for one in lanes:
        one.health.failed("gone", hard=True)
    assert relays.health()[0].failures == 1


def test_only_a_mail_that_was_taken_ends_the_row_of_failures() -> None:
    clock = _Clock()
    relays = _relays("smtp://a", clock=clock)
    berth = _take(relays)
    berth.health.failed("421 busy", hard=False)
    clock.now += 1
    _batch(berth, broken=1)
    assert relays.health()[0].failures == 1
    _batch(berth, sent=1)
    assert relays.health()[0].failures == 0


def test_a_relay_that_is_back_gets_its_share_again_slowly() -> None:
    clock = _Clock()
    relays = _relays("smtp://a", "smtp://b", clock=clock)
    next(one for one in (_take(relays), _take(relays)) if one.relay.host == "a").health.failed("gone", hard=True)
    assert _turns(relays, 100) == {"b": 100}
    assert relays.health()[0].state == "away"
    clock.now += relays.health()[0].failures and 0.4
    assert relays.health()[0].state == "recovering"
    shares = []
    for _ in range(7):
        shares.append(_turns(relays, 1000)["a"])
        clock.now += 10
    assert 80 <= shares[0] <= 110  # a tenth of b's
    assert shares == sorted(shares)
    assert 495 <= shares[-1] <= 505
    assert relays.health()[0].state == "well"


def test_421_halves_a_share_each_time() -> None:
    clock = _Clock()
    relays = _relays("smtp://a", "smtp://b", clock=clock)
    health = _take(relays).health
    for share in (0.5, 0.25, 0.125, 0.1):
        health.failed("421 enough", hard=False)
        assert health.share == pytest.approx(share, abs=0.01)
        clock.now = health.until


def test_a_spike_of_refusals_brakes_one_relay_and_not_the_other() -> None:
    clock = _Clock()
    relays = _relays("smtp://a", "smtp://b", clock=clock)
    berths = {one.relay.host: one for one in (_take(relays), _take(relays))}
    _batch(berths["a"], sent=2, refused=7)
    assert relays.health()[0].state == "well"
    _batch(berths["a"], refused=1)
    assert [one.state for one in relays.health()] == ["braked", "well"]
    assert relays.health()[0][3:] == (0, 2, 8, "554 no")
    assert _turns(relays, 50) == {"b": 50}
    assert 30 <= berths["a"].health.until - clock.now <= 45


def test_refusals_for_what_the_recipients_are_brake_nobody() -> None:
    relays = _relays("smtp://a")
    _batch(_take(relays), others=500)
    assert relays.health()[0].state == "well"


def test_old_refusals_slide_out_of_the_window() -> None:
    clock = _Clock()
    relays = _relays("smtp://a", clock=clock)
    berth = _take(relays)
    for _ in range(20):
        _batch(berth, refused=1)
        clock.now += 10
    assert relays.health()[0].state == "well"


def test_a_brake_lasts_longer_each_time_until_the_relay_has_proven_itself() -> None:
    clock = _Clock()
    relays = _relays("smtp://a", clock=clock)
    berth = _take(relays)
    pauses = []
    for tried in (10, 5, 5):  # one that was braked before needs half the tries
        _batch(berth, refused=tried)
        assert relays.health()[0].state == "braked"
        assert relays.take() is None
        pauses.append(relays.seconds_until_next())
        clock.now += relays.seconds_until_next()
    assert [30 * 2**n <= pause <= 45 * 2**n for n, pause in enumerate(pauses)] == [True] * 3
    _batch(berth, sent=50)
    clock.now += 61
    _batch(berth, sent=50)
    _batch(berth, refused=9)
    assert relays.health()[0].state == "well"


def test_no_relay_at_all_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ValueError, match="at least one relay"):
        Relays([])
