"""The commands: parse, wire, call. What they do stands in the modules they name."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import msgspec
import typer
import uvloop
from rich.console import Console
from sqlalchemy.exc import ProgrammingError

from app import commands
from app.call_import import import_calls_file
from app.doctor import examine
from app.exports import export_to_file
from app.imports import import_components_file, import_customers_file
from app.log import configure_logging
from app.migrations import migrate as run_migrations
from app.postgres import PostgresUnavailable, application_url
from app.reports import drawn_report, print_page
from app.rights import FOR_SYSTEMS, ROLES
from app.secret import kept_secret, own_secret
from app.settings import Settings, SettingsError, data_folder, read_settings
from app.up import up as run_up
from app.web import serve as run_web
from app.wiring import Parts, database_url, open_parts
from app.worker import work as run_worker
from foundation.database import DatabaseAway
from foundation.errors import Refusal
from metrics import EXPORTS, FORMATS, Question

T = TypeVar("T")
_KEY = "STORMDESK_SECRET_KEY"

cli = typer.Typer(
    name="stormdesk",
    help="Tell everyone affected the truth, once per change, and give each customer one case.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
import_cli = typer.Typer(help="Load what others know into the directory.", no_args_is_help=True)
token_cli = typer.Typer(help="API tokens for staff and other systems.", no_args_is_help=True)
user_cli = typer.Typer(help="Accounts of the people who work here.", no_args_is_help=True)
audit_cli = typer.Typer(help="The record of who did what.", no_args_is_help=True)
bench_cli = typer.Typer(help="Measure against a baseline in the same run; print one JSON object.", no_args_is_help=True)
cli.add_typer(import_cli, name="import")
cli.add_typer(token_cli, name="token")
cli.add_typer(user_cli, name="user")
cli.add_typer(audit_cli, name="audit")
cli.add_typer(bench_cli, name="bench")

console = Console(stderr=True)
_UNDEFINED_TABLE = "42P01"
_MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ"]


def main() -> None:
    """Entry point of `stormdesk`: faults become one clear message and exit code 1 or 2."""
    configure_logging()
    try:
        cli()
    except SettingsError as error:
        _fail("These settings need mending:\n" + str(error), 2)
    except (PostgresUnavailable, Refusal) as error:
        _fail(str(error), 1)
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _UNDEFINED_TABLE:
            raise
        _fail("The database does not have the newest schema. Run: stormdesk migrate", 1)
    except DatabaseAway as error:
        _fail(f"{error}\nStart it or mend STORMDESK_DATABASE_URL; `stormdesk doctor` checks it.", 1)


def _fail(message: str, code: int) -> NoReturn:
    console.print(message, style="bold red", markup=False)
    sys.exit(code)


def _settings(*, secret_required: bool = False) -> Settings:
    """The settings; on one machine with the embedded database the secret key is the installation's own."""
    environment = dict(os.environ)
    if not environment.get("STORMDESK_DATABASE_URL") and not environment.get(_KEY):
        environment[_KEY] = kept_secret(data_folder(environment)) or ""
    return read_settings(environment, secret_required=secret_required)


def _run(
    work: Callable[[Settings, str], Coroutine[Any, Any, T]], *, secret_required: bool = False, lesser: bool = False
) -> T:
    """Run `work`. `lesser`: as the database role of the application, which may not change what is on record."""
    settings = _settings(secret_required=secret_required)
    with database_url(settings) as url:
        if settings.database_url is None:
            run_migrations(url)  # our own database has the schema of our own code; others decide when theirs changes
            if lesser:
                return uvloop.run(work(settings, application_url(settings.data_dir)))
        return uvloop.run(work(settings, url))


@cli.command()
def serve() -> None:
    """Run one web process. Start as many as needed, on any machine."""
    _run(run_web, secret_required=True, lesser=True)


@cli.command()
def work() -> None:
    """Run one worker process: sends, resolves contacts, refreshes the page. Start as many as needed."""
    _run(run_worker, secret_required=True, lesser=True)


@cli.command()
def up() -> None:
    """Run everything on this machine: embedded database, web and worker."""
    if not os.environ.get(_KEY, "").strip():
        os.environ[_KEY] = own_secret(data_folder(os.environ))  # where the processes we start find it
    _run(run_up, secret_required=True)


@cli.command()
def demo(
    customers: Annotated[int, typer.Option(min=100, help="How many people have a booking.")] = 20_000,
    speed: Annotated[float, typer.Option(min=0.1, help="How fast the story goes; 2 is twice as fast.")] = 1.0,
    contacts: Annotated[float, typer.Option(min=0.0, help="Contacts per affected person.")] = 1.4,
    exit: Annotated[bool, typer.Option("--exit", help="Stop at the end and print one JSON summary.")] = False,  # noqa: A002 (the option's name)
) -> None:
    """Run the main job on real flights, everything local."""
    # Here and below, not at the top: what serves and sends need not load what only a demo or a bench uses.
    from app.demo.run import run_demo  # noqa: PLC0415 (loaded when it runs)

    sys.exit(run_demo(customers=customers, speed=speed, contacts_per_affected=contacts, exit_when_done=exit))


@cli.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    settings = _settings()
    with database_url(settings) as url:
        run_migrations(settings.owner_url or url)
    console.print("The database has the newest schema.")


@cli.command()
def doctor() -> None:
    """Check the settings, the database, the relays and the folders, and say what to mend."""
    settings = _settings()
    with database_url(settings) as url:
        healthy = asyncio.run(examine(settings, url, console))
    sys.exit(0 if healthy else 1)


@import_cli.command("customers")
def import_customers(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV, UTF-8.")],
) -> None:
    """Load a customer file. Bad rows are listed and kept in FILE.rejects.csv, the rest is loaded."""

    async def load(settings: Settings, url: str) -> None:
        async with open_parts(settings, url) as parts, commands.on_record(parts, "import customers", str(file)):
            await import_customers_file(parts.database, file, console)

    _run(load)


@import_cli.command("contacts")
def import_contacts(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV, UTF-8.")],
) -> None:
    """Take in what a call centre noted, a contact a line. Doing it again adds nothing.

    The first line names the columns: message, and any of name,
    customer_number, reference, email, phone, asks_for, incident, language,
    agent, called_at, call_id. Bad lines are listed by number, the rest is
    taken in.
    """

    async def load(settings: Settings, url: str) -> None:
        async with open_parts(settings, url) as parts, commands.on_record(parts, "import contacts", str(file)):
            await import_calls_file(parts.database, file, console)

    _run(load)


@import_cli.command("components")
def import_components(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV, UTF-8.")],
) -> None:
    """Load components: key,name,group,party,party_kind,position,needs. Before or after the customers.

    The first line names the columns; only key and name must be there.

    key: what the customers' file calls it. name, group, position: as the
    status page shows it.

    party: who is responsible. party_kind: ours, contractor or supplier;
    without it a party stays what it is, and a new one is a contractor.

    needs: keys of the components it depends on, with | between them, such as
    DL1117/2013-02-08/LGA|check-in. They replace the list of before.

    A column left out changes nothing; an empty cell takes away what was there.
    Bad rows are listed and kept in FILE.rejects.csv, the rest is loaded.
    """

    async def load(settings: Settings, url: str) -> None:
        async with open_parts(settings, url) as parts, commands.on_record(parts, "import components", str(file)):
            await import_components_file(parts.database, file, console)

    _run(load)


@cli.command()
def export(  # noqa: PLR0917 (typer reads options from it)
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(EXPORTS)}; or snapshot, to keep all as they are.")],
    incident: Annotated[str | None, typer.Option(help="Only this incident.")] = None,
    format: Annotated[str, typer.Option(help=", ".join(FORMATS))] = "csv",  # noqa: A002 (the option's name)
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File; without it, standard output.")] = None,
    since: Annotated[datetime | None, typer.Option(help="What began then or later, UTC.", formats=_MOMENTS)] = None,
    until: Annotated[datetime | None, typer.Option(help="What began before, UTC.", formats=_MOMENTS)] = None,
    component: Annotated[str | None, typer.Option(help="Only incidents that affect this component.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only what went this way, such as mail or sms.")] = None,
    snapshot: Annotated[str | None, typer.Option(help="As it was then: an id that `export snapshot` printed.")] = None,
    personal: Annotated[bool, typer.Option("--personal", help="People by number, not by pseudonym.")] = False,
) -> None:
    """Write what happened, for analysts. `export snapshot` keeps every export as it is now and prints an id."""
    question = Question(
        name,
        incident=incident,
        since=since and since.replace(tzinfo=UTC),
        until=until and until.replace(tzinfo=UTC),
        component=component,
        channel=channel,
        personal=personal,
    )
    filters: dict[str, object] = {
        "incident": incident,
        "since": since,
        "until": until,
        "component": component,
        "channel": channel,
    }
    filters |= {"snapshot": snapshot, "format": format, "file": output, "people": "by number" if personal else None}
    asked = ", ".join(f"{key}={value}" for key, value in filters.items() if value)

    async def write(settings: Settings, url: str) -> None:
        async with open_parts(settings, url) as parts, commands.on_record(parts, f"export {name}", asked):
            if name == "snapshot":
                print((await parts.exports.take()).id)
                return
            await export_to_file(parts.exports, question, file_format=format, snapshot=snapshot, output=output)

    _run(write)


@cli.command()
def report(
    incident: Annotated[str, typer.Argument(help="Its id; `export incidents` lists them.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File; without it, standard output.")] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="A PDF, printed by Chromium; needs --output.")] = False,
    language: Annotated[Literal["en", "nl"], typer.Option(help="Of the report.")] = "en",
) -> None:
    """Write what happened in an incident, by number, as one page that needs nothing else."""
    if pdf and output is None:
        _fail("A PDF needs a file: add -o FILE.pdf", 2)

    async def write(parts: Parts) -> None:
        async with commands.on_record(parts, "report", incident):
            page = await drawn_report(parts, incident, language)
        if output is None:
            print(page)
        elif pdf:
            await asyncio.to_thread(print_page, page, output)
        else:
            output.write_text(page, encoding="utf-8")

    _with_parts(write)


Roles = Annotated[list[str] | None, typer.Option("--role", help=f"One of: {', '.join(ROLES)}. May be given again.")]


def _with_parts(work: Callable[[Parts], Coroutine[Any, Any, T]]) -> T:
    """Run a use case that needs the parts, and close them."""

    async def run(settings: Settings, url: str) -> T:
        async with open_parts(settings, url) as parts:
            return await work(parts)

    return _run(run)


@token_cli.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="Whose token it is, e.g. ops-console.")],
    role: Roles = None,
    expires: Annotated[int, typer.Option(min=1, max=366, help="In how many days.")] = 90,
) -> None:
    """Make an API token and print it once. Without --role it may do everything but manage people."""
    roles = role or list(FOR_SYSTEMS)
    token = _with_parts(lambda parts: commands.make_token(parts, name, roles, expires))
    console.print(f"Keep this token safe: it is shown only now. It may do what these roles may: {', '.join(roles)}.")
    print(token)


@token_cli.command("revoke")
def token_revoke(name: Annotated[str, typer.Argument(help="The name it was made with.")]) -> None:
    """Withdraw an API token: from the next request on it opens nothing."""
    _with_parts(lambda parts: commands.withdraw_token(parts, name))
    console.print(f"The token {name} is revoked.", markup=False)


@token_cli.command("list")
def token_list() -> None:
    """Print every token, one JSON object a line: roles, expiry, when it was last used."""
    for token in _with_parts(commands.every_token):
        _print_json(token)


@user_cli.command("add")
def user_add(
    name: Annotated[str, typer.Argument(help="What they type to sign in, such as their mail address.")],
    role: Roles = None,
    shown_name: Annotated[str, typer.Option(help="As colleagues see it.")] = "",
) -> None:
    """Make an account, and print a one-time link with which its owner chooses a password."""
    link = _with_parts(lambda parts: commands.make_user(parts, name, role or [], shown_name))
    console.print("Send this link to them by a way that only they read. It works once, for a day.")
    print(link)


@user_cli.command("link")
def user_link(name: Annotated[str, typer.Argument(help="Whose account.")]) -> None:
    """Print a new one-time link: for a lost password, or a lost phone."""
    print(_with_parts(lambda parts: commands.new_link(parts, name)))


@user_cli.command("roles")
def user_roles(name: Annotated[str, typer.Argument(help="Whose account.")], role: Roles = None) -> None:
    """Give somebody these roles and no others. They are signed out."""
    _with_parts(lambda parts: commands.change_roles(parts, name, role or []))


@user_cli.command("close")
def user_close(name: Annotated[str, typer.Argument(help="Whose account.")]) -> None:
    """Close an account: nobody enters by it any more, from now on."""
    _with_parts(lambda parts: commands.close_user(parts, name))


@user_cli.command("list")
def user_list() -> None:
    """Print everybody who has an account, one JSON object a line."""
    for user in _with_parts(commands.every_user):
        _print_json(user)


@audit_cli.command("verify")
def audit_verify(
    head: Annotated[str, typer.Option(help="What an earlier run printed: proves that nothing since was cut off.")] = "",
) -> None:
    """Prove that the record of who did what is whole; else say where it is broken, and exit with 1."""
    verdict = _with_parts(lambda parts: commands.verify_audit(parts, head))
    if verdict.broken_at is not None:
        _fail(f"The record is broken at row {verdict.broken_at}: {verdict.why}.", 1)
    console.print(f"The record is whole: {verdict.rows} rows. Keep this line elsewhere, for --head next time:")
    print(verdict.head)


def _print_json(figures: object) -> None:
    print(msgspec.json.encode(figures).decode())


@bench_cli.command("mail")
def bench_mail(
    recipients: Annotated[int, typer.Option(min=1000)] = 30_000,
    dkim: Annotated[Literal["none", "ed25519", "rsa"], typer.Option(help="What signs our mails.")] = "none",
    tls: Annotated[bool, typer.Option("--tls", help="Both sides through TLS (needs stunnel).")] = False,
) -> None:
    """Messages per second against Postfix's smtp-source, to the same smtp-sink."""
    from app.bench import mail  # noqa: PLC0415 (loaded when it runs)

    _print_json(mail.bench_mail(recipients, dkim, tls=tls))


@bench_cli.command("planning")
def bench_planning() -> None:
    """Seconds to plan for 10,000, 100,000 and 1,000,000 people, against a bare INSERT … SELECT."""
    from app.bench import planning  # noqa: PLC0415 (loaded when it runs)

    _print_json(planning.bench_planning())


@bench_cli.command("sms")
def bench_sms(recipients: Annotated[int, typer.Option(min=1000)] = 30_000) -> None:
    """Texts per second against a bare smpp34 client, to the same SMS centre."""
    from app.bench import sms  # noqa: PLC0415 (loaded when it runs)

    _print_json(sms.bench_sms(recipients))


@bench_cli.command("intake")
def bench_intake(contacts: Annotated[int, typer.Option(min=1000)] = 30_000) -> None:
    """Contacts per second over HTTP, durable at 202, against single-row inserts by 16 connections."""
    from app.bench import intake  # noqa: PLC0415 (loaded when it runs)

    _print_json(intake.bench_intake(contacts))


@bench_cli.command("identity")
def bench_identity(
    records: Annotated[Path | None, typer.Option(help="A CSV of labelled records, in place of the known data.")] = None,
    only: Annotated[str, typer.Option(help="Only data sets whose name contains this.")] = "",
    shuffles: Annotated[int, typer.Option(min=0, help="Other orders that must give the same cases.")] = 20,
    batch: Annotated[int, typer.Option(min=1, help="Contacts that are resolved at a time.")] = 1,
) -> None:
    """Tell who is whom on labelled records, one contact at a time, beside Splink in one batch."""
    from app.bench import identity  # noqa: PLC0415 (loaded when it runs)

    found = identity.bench_identity(
        records, only=only, shuffles=shuffles, batch=batch, tell=lambda line: typer.echo(line, err=True)
    )
    _print_json(found)


@bench_cli.command("export")
def bench_export(rows: Annotated[int, typer.Option(min=1000)] = 1_000_000) -> None:
    """Exported rows per second and peak memory of each format, against PostgreSQL's own COPY as CSV."""
    from app.bench import export as exporting  # noqa: PLC0415 (loaded when it runs)

    _print_json(exporting.bench_export(rows))


@bench_cli.command("page")
def bench_page(seconds: Annotated[float, typer.Option(min=1.0)] = 5.0) -> None:
    """Page views per second against nginx serving the same bytes."""
    from app.bench import page  # noqa: PLC0415 (loaded when it runs)

    _print_json(page.bench_page(seconds))


if __name__ == "__main__":
    main()
