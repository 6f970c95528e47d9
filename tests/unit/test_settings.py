"""The environment becomes settings, or one message that names everything wrong with it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import time
from pathlib import Path

import pytest

from app.secret import kept_secret, own_secret
from app.setting_values import Bind, MailBind
from app.settings import SettingsError, read_settings
from notify import QuietHours

SECRET = {"STORMDESK_SECRET_KEY": "k" * 32}


def test_the_defaults_run_on_one_machine() -> None:
    settings = read_settings(SECRET)
    assert settings.database_url is None
    assert settings.status_dir == Path("var/status")
    assert settings.bind == Bind("127.0.0.1", 8080)
    assert settings.ops_bind is None


def test_every_fault_is_reported_at_once_by_name() -> None:
    wrong = {
        "STORMDESK_DATABASE_URL": "mysql://host/db",
        "STORMDESK_SMTP_URL": "smtp://ok:25, http://no",
        "STORMDESK_PUBLIC_URL": "status.example.com",
        "STORMDESK_BIND": "8080:here",
        "STORMDESK_SENDER_DEPTH": "0",
        "STORMDESK_TIME_ZONE": "Mars/Olympus",
        "STORMDESK_MAIL_FROM": "nobody",
        "STORMDESK_DKIM": "selector:example.com",
        "STORMDESK_SECRET_KEY": "short",
    }
    with pytest.raises(SettingsError) as refused:
        read_settings(wrong)
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [
        "STORMDESK_DATABASE_URL",
        "STORMDESK_SMTP_URL",
        "STORMDESK_PUBLIC_URL",
        "STORMDESK_TIME_ZONE",
        "STORMDESK_MAIL_FROM",
        "STORMDESK_DKIM",
        "STORMDESK_SECRET_KEY",
        "STORMDESK_BIND",
        "STORMDESK_SENDER_DEPTH",
    ]


def test_a_missing_secret_is_refused_unless_nothing_is_signed() -> None:
    with pytest.raises(SettingsError, match="STORMDESK_SECRET_KEY: is missing"):
        read_settings({})
    assert read_settings({}, secret_required=False).secret_keys != read_settings({}, secret_required=False).secret_keys


def test_several_relays_and_keys_keep_their_order() -> None:
    settings = read_settings(
        {"STORMDESK_SMTP_URL": "smtp://one:25, smtps://u:p@two", "STORMDESK_SECRET_KEY": f"{'n' * 32}, {'o' * 32}"}
    )
    assert settings.smtp_urls == ("smtp://one:25", "smtps://u:p@two")
    assert settings.secret_keys == (b"n" * 32, b"o" * 32)


def test_an_installation_makes_its_own_secret_once_and_for_itself_alone(tmp_path: Path) -> None:
    made = own_secret(tmp_path / "data")
    assert len(made) >= 32
    assert own_secret(tmp_path / "data") == made
    assert (tmp_path / "data/secret-key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "abc\n"])
def test_a_key_file_without_a_key_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    assert kept_secret(tmp_path) is None
    (tmp_path / "secret-key").write_text(text)
    for read in (own_secret, kept_secret):
        with pytest.raises(SettingsError, match=r"secret-key holds no usable key\. Put the file back"):
            read(tmp_path)


def test_many_that_start_together_share_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        keys = set(threads.map(own_secret, [tmp_path] * 64))
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret-key"]


@pytest.mark.parametrize(
    "url", ["smtp://host:25?tls=foo", "smtp://host:abc", "smtp://u:ss/w@host:25", "smtp://:25", ","]
)
def test_a_relay_nobody_can_reach_is_reported_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings(
            {**SECRET, "STORMDESK_SMTP_URL": f"smtp://ok:25,{url}" if url != "," else url, "STORMDESK_BIND": "x"}
        )
    relay, bind = str(refused.value).splitlines()
    assert relay.startswith("STORMDESK_SMTP_URL: ")
    assert "smtp://[user:password@]host:port" in relay
    assert "ss/w" not in relay
    assert bind.startswith("STORMDESK_BIND: ")


def test_an_address_is_written_as_it_is_read() -> None:
    for text in ("127.0.0.1:8080", "[::1]:8080", "localhost:80"):
        assert str(read_settings({**SECRET, "STORMDESK_BIND": text}).bind) == text


def test_a_sender_address_leaves_room_for_what_names_each_message() -> None:
    with pytest.raises(SettingsError, match="at most 19 characters before the @"):
        read_settings({**SECRET, "STORMDESK_MAIL_FROM": "news-about-disruptions@example.com"})


def test_the_public_address_can_stand_in_a_mail() -> None:
    with pytest.raises(SettingsError, match="STORMDESK_PUBLIC_URL: must be written in plain letters"):
        read_settings({**SECRET, "STORMDESK_PUBLIC_URL": "https://störung.example"})


def test_mail_is_taken_in_where_it_is_asked_for() -> None:
    listen = "127.0.0.1:2525, smtp://[::1]:25, lmtp://127.0.0.1:2424, lmtp:/run/mail.sock, lmtp:///run/other.sock"
    settings = read_settings(
        {**SECRET, "STORMDESK_MAIL_LISTEN": listen, "STORMDESK_MAIL_INBOXES": "Info@Example.com, "}
    )
    assert settings.mail_listen == (
        MailBind("smtp", Bind("127.0.0.1", 2525)),
        MailBind("smtp", Bind("::1", 25)),
        MailBind("lmtp", Bind("127.0.0.1", 2424)),
        MailBind("lmtp", Path("/run/mail.sock")),
        MailBind("lmtp", Path("/run/other.sock")),
    )
    assert settings.mail_inboxes == frozenset({"info@example.com"})
    assert (read_settings(SECRET).mail_listen, read_settings(SECRET).mail_inboxes) == ((), frozenset())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAIL_LISTEN", "127.0.0.1"),
        ("MAIL_LISTEN", "http://127.0.0.1:25"),
        ("MAIL_LISTEN", "127.0.0.1:25, lmtp:"),
        ("MAIL_INBOXES", "info@example.com, nobody"),
        ("MAIL_CERTIFICATE", "/nowhere/mail.pem"),
    ],
)
def test_a_way_in_for_mail_that_cannot_be_is_reported_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"STORMDESK_{name}: "):
        read_settings({**SECRET, f"STORMDESK_{name}": value})


def test_texts_are_off_until_there_is_a_centre() -> None:
    settings = read_settings(SECRET)
    assert settings.smpp_urls == ()
    assert settings.sms_cost_caps == {"EUR": 5_000_000_000}
    assert settings.sms_prices.currencies == {"EUR"}


def test_centres_and_caps_are_read() -> None:
    settings = read_settings(
        {
            **SECRET,
            "STORMDESK_SMPP_URL": "smpp://us:pw@one:2775?window=5, smpp://us:pw@two",
            "STORMDESK_SMS_COST_CAP": "100 EUR, 80 USD",
        }
    )
    assert settings.smpp_urls == ("smpp://us:pw@one:2775?window=5", "smpp://us:pw@two")
    assert settings.sms_cost_caps == {"EUR": 100_000_000, "USD": 80_000_000}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SMPP_URL", "smpp://us:hush@host?window=none", "window must be"),
        ("SMPP_URL", "smpp://us:pw@one, http://us:hush@two", "number 2 of 2 must be smpp://"),
        ("SMS_PRICES", "/nowhere/prices.csv", "CSV file that can be read"),
        ("SMS_COST_CAP", "lots", "such as 5000 EUR"),
        ("SMS_COST_CAP", "1 EUR, 2 EUR", "such as 5000 EUR"),
        ("SMS_COST_CAP", "100 USD", "names no cap in EUR"),
    ],
)
def test_what_texts_cannot_be_sent_with_is_reported_by_name(name: str, value: str, says: str) -> None:
    wrong = {**SECRET, "STORMDESK_SMPP_URL": "smpp://us:pw@host", f"STORMDESK_{name}": value}
    with pytest.raises(SettingsError, match=says) as refused:
        read_settings(wrong)
    assert str(refused.value).startswith(f"STORMDESK_{name}: ")
    assert "hush" not in str(refused.value)


def test_a_table_of_prices_with_faults_names_their_lines(tmp_path: Path) -> None:
    table = tmp_path / "prices.csv"
    table.write_text("country,price_minor,currency,sender_id\nNL,x,EUR,Us\nQQ,1,EUR,Us\n")
    with pytest.raises(SettingsError, match=r"SMS_PRICES: Line 2: x is not a number. Line 3: QQ"):
        read_settings({**SECRET, "STORMDESK_SMS_PRICES": str(table)})


def test_limits_and_quiet_hours_are_read() -> None:
    wish = {
        "STORMDESK_DOMAIN_LIMITS": "Example.com=20/s:10, slow.example=0.5/s:1",
        "STORMDESK_QUIET_HOURS": "23:30-06:00",
    }
    settings = read_settings({**SECRET, **wish})
    assert settings.domain_limits == {"example.com": (20.0, 10), "slow.example": (0.5, 1)}
    assert settings.quiet_hours == QuietHours(time(23, 30), time(6))
    assert read_settings({**SECRET, "STORMDESK_QUIET_HOURS": "none"}).quiet_hours is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOMAIN_LIMITS", "example.com"),
        ("DOMAIN_LIMITS", "example.com=0/s:10"),
        ("QUIET_HOURS", "22:00"),
        ("QUIET_HOURS", "22:00-22:00"),
        ("FALLBACK_MINUTES", "soon"),
        ("SENDER_DEPTH", "7"),
    ],
)
def test_a_limit_that_cannot_be_is_reported_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"STORMDESK_{name}: "):
        read_settings({**SECRET, f"STORMDESK_{name}": value})
