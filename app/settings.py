"""The environment, read once into one frozen value. Every fault in it is reported at once, by name."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from app import setting_values as values
from app.setting_values import Bind, MailBind, Mirror, Network, ProviderSettings
from claims.payment_files import Payer
from notify import QuietHours
from notify.dkim import DkimKey, dkim_keys
from notify.sms_prices import DEFAULT_PRICES, Micro, Prices

T = TypeVar("T")
_PREFIX = "STORMDESK_"


class SettingsError(Exception):
    """The settings cannot be used; the message names every one that is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between installations. `database_url` None means the embedded PostgreSQL.

    `owner_url`: the same database as the role that owns it, for `migrate`; None: `database_url` does both.
    """

    database_url: str | None
    owner_url: str | None
    data_dir: Path
    status_dir: Path
    mirrors: tuple[Mirror, ...]
    smtp_urls: tuple[str, ...]
    smpp_urls: tuple[str, ...]
    sms_prices: Prices
    sms_cost_caps: Mapping[str, Micro]
    public_url: str
    page_name: str
    page_time_zone: str
    mail_from: str
    dkim: tuple[DkimKey, ...]
    secret_keys: tuple[bytes, ...]
    bind: Bind
    ops_bind: Bind | None
    desk_bind: Bind | None
    desk_url: str
    trusted_proxies: tuple[Network, ...]
    provider: ProviderSettings | None
    sender_connections: int
    sender_depth: int
    quiet_hours: QuietHours | None
    fallback_after: timedelta
    notice_limit: timedelta
    warn_before: timedelta
    snapshots_kept: timedelta
    alert_secrets: Mapping[str, bytes]
    domain_limits: Mapping[str, tuple[float, int]]
    mail_listen: tuple[MailBind, ...]
    mail_inboxes: frozenset[str]
    mail_certificate: Path | None
    approvals: int
    mail_verdicts_by: str
    files_dir: Path
    scan_command: tuple[str, ...]
    posts_key: bytes | None
    payer: Payer | None


def data_folder(environment: Mapping[str, str]) -> Path:
    """Where everything of this installation is kept; other settings and the secret key are found by it."""
    return Path(environment.get(_PREFIX + "DATA_DIR", "").strip() or "var")


def read_settings(environment: Mapping[str, str], *, secret_required: bool = True) -> Settings:
    """The settings in `environment` (names start with `STORMDESK_`).

    Raises `SettingsError` that lists every fault. With `secret_required` false a missing SECRET_KEY becomes a random
    one that lives as long as this process (for commands that sign nothing).
    """
    reader = _Reader(environment)
    data_dir = data_folder(environment)
    settings = Settings(
        database_url=reader.get("DATABASE_URL", values.database_url, None),
        owner_url=reader.get("OWNER_URL", values.database_url, None),
        data_dir=data_dir,
        status_dir=reader.get("STATUS_DIR", Path, str(data_dir / "status")),
        mirrors=reader.get("STATUS_MIRRORS", values.mirrors, ""),
        smtp_urls=reader.get("SMTP_URL", values.smtp_urls, "smtp://localhost:25"),
        smpp_urls=reader.get("SMPP_URL", values.smpp_urls, ""),
        sms_prices=reader.get("SMS_PRICES", values.sms_prices, str(DEFAULT_PRICES)),
        sms_cost_caps=reader.get("SMS_COST_CAP", values.cost_caps, "5000 EUR"),
        public_url=reader.get("PUBLIC_URL", values.web_url, "http://127.0.0.1:8080"),
        page_name=reader.get("PAGE_NAME", str, "Stormdesk"),
        page_time_zone=reader.get("TIME_ZONE", values.time_zone, "Etc/UTC"),
        mail_from=reader.get("MAIL_FROM", values.mail_address, "updates@stormdesk.example"),
        dkim=reader.get("DKIM", dkim_keys, None) or (),
        secret_keys=reader.get("SECRET_KEY", values.secret_keys, "" if secret_required else secrets.token_hex(32)),
        bind=reader.get("BIND", values.bind, "127.0.0.1:8080"),
        ops_bind=reader.get("OPS_BIND", values.bind, None),
        desk_bind=reader.get("DESK_BIND", values.bind, None),
        desk_url=_desk_url(reader),
        trusted_proxies=reader.get("TRUSTED_PROXIES", values.networks, ","),
        provider=_provider(reader),
        sender_connections=reader.get("SENDER_CONNECTIONS", values.positive, "8"),
        sender_depth=reader.get("SENDER_DEPTH", values.depth, "50"),
        quiet_hours=reader.get("QUIET_HOURS", values.quiet_hours, "22:00-07:00"),
        fallback_after=reader.get("FALLBACK_MINUTES", values.minutes, "10"),
        notice_limit=reader.get("NOTICE_MINUTES", values.minutes, "30"),
        warn_before=reader.get("PROMISE_WARNING_MINUTES", values.minutes, "5"),
        snapshots_kept=reader.get("SNAPSHOT_DAYS", values.days, "90"),
        alert_secrets=reader.get("ALERT_SECRETS", values.alert_secrets, ""),
        domain_limits=reader.get("DOMAIN_LIMITS", values.domain_limits, ""),
        mail_listen=reader.get("MAIL_LISTEN", values.mail_binds, ""),
        mail_inboxes=reader.get("MAIL_INBOXES", values.mail_addresses, ""),
        mail_certificate=reader.get("MAIL_CERTIFICATE", values.certificate, None),
        approvals=reader.get("APPROVALS", values.approvals, "1"),
        mail_verdicts_by=reader.get("MAIL_VERDICTS_BY", str.lower, "") or "",
        files_dir=reader.get("FILES_DIR", Path, str(data_dir / "files")),
        scan_command=reader.get("SCAN_COMMAND", values.command, "") or (),
        posts_key=reader.maybe("POSTS_KEY", values.posts_key),
        payer=reader.maybe("PAYER", values.payer),
    )
    if settings.smpp_urls and not reader.faults:
        reader.faults += _uncapped(settings)
    if reader.faults:
        raise SettingsError("\n".join(reader.faults))
    return settings


def _desk_url(reader: "_Reader") -> str:
    """Where people open the desk: what is set, else where it listens by itself, else the public address."""
    if (bind := reader.maybe("DESK_BIND", values.bind)) is not None:
        return reader.get("DESK_URL", values.web_url, f"http://{bind}")
    return reader.maybe("DESK_URL", values.web_url) or reader.get("PUBLIC_URL", values.web_url, "http://127.0.0.1:8080")


def _provider(reader: "_Reader") -> ProviderSettings | None:
    issuer = reader.maybe("OIDC_ISSUER", values.issuer)
    if issuer is None:
        return None
    return ProviderSettings(
        issuer=issuer,
        client_id=reader.get("OIDC_CLIENT_ID", values.present, " "),
        client_secret=reader.get("OIDC_CLIENT_SECRET", values.present, " "),
        groups_claim=reader.get("OIDC_GROUPS_CLAIM", str, "groups"),
        roles=reader.get("OIDC_ROLES", values.role_table, " "),
    )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.faults: list[str] = []

    def maybe(self, name: str, parse: Callable[[str], T]) -> T | None:
        return self.get(name, parse, None)

    def get(self, name: str, parse: Callable[[str], T], default: str | None) -> T:
        text = self._environment.get(_PREFIX + name, "").strip() or default
        if text is None:
            return None  # type: ignore[return-value]  # absent, and the field allows it
        try:
            return parse(text)
        except ValueError as error:
            if (fault := f"{_PREFIX}{name}: {error}") not in self.faults:  # some are read twice
                self.faults.append(fault)
            return None  # type: ignore[return-value]  # never used: the fault is raised


def _uncapped(settings: Settings) -> list[str]:
    missing = sorted(settings.sms_prices.currencies - settings.sms_cost_caps.keys())
    return [f"{_PREFIX}SMS_COST_CAP: names no cap in {one}, in which there are prices" for one in missing]
