"""Payment runs as files: CSV for whoever pays by hand or off the bill, ISO 20022 pain.001 for the bank, with totals.

Pure: a run and its payments in, bytes out. Names come from outside: a cell that a spreadsheet would run is quoted.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sepaxml import SepaTransfer

from claims.payment_runs import Payment, Run
from foundation.errors import Conflict

SCHEMA = "pain.001.001.09"
_COLUMNS = ("payment", "case", "scheme", "payee", "iban", "reference", "amount", "currency", "state")
_RUNS_IN_A_SPREADSHEET = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays, from which account."""

    name: str
    iban: str
    bic: str = ""


def as_csv(run: Run, payments: Sequence[Payment]) -> bytes:
    """The run with a last line of totals: how many payments, how much. What came back stands in it, and counts not."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for one in payments:
        cells = (
            *(str(one.id), one.case_number, one.scheme, one.payee, one.iban, one.reference),
            *(decimal(one.minor), one.currency, one.state),
        )
        writer.writerow([_harmless(cell) for cell in cells])
    alive = [one for one in payments if one.state != "returned"]
    total = decimal(sum(one.minor for one in alive))
    writer.writerow(["total", str(len(alive)), "", "", "", f"run {run.id}", total, run.currency, run.state])
    return out.getvalue().encode()


def as_pain001(run: Run, payments: Sequence[Payment], payer: Payer, *, on: date) -> bytes:
    """The run as credit transfers in its currency, checked against the schema. Raises Conflict unless to accounts.

    Euros are a SEPA transfer; in other currencies the file names no service level, and the bank takes its own.
    Each payment has the same end-to-end identifier whenever the file is made, so the bank and we can tell it again.
    """
    if run.pays != "account":
        raise Conflict("This run is not paid to accounts. Use its CSV file.", code="not_to_accounts")
    sepa = run.currency == "EUR"
    config = {"name": payer.name, "IBAN": payer.iban, "batch": True, "currency": run.currency, "domestic": not sepa}
    file = SepaTransfer(config | ({"BIC": payer.bic} if payer.bic else {}), schema=SCHEMA, clean=True)
    for one in payments:
        if one.state != "returned":
            file.add_payment(
                {
                    "name": one.payee,
                    "IBAN": one.iban,
                    "amount": one.minor,
                    "execution_date": on,
                    "description": f"{one.scheme} {one.case_number} {one.reference}"[:140],
                    "endtoend_id": f"STORMDESK-{one.id}",
                }
            )
    content: bytes = file.export(validate=True)
    # "As the service level says" says nothing where there is none: each side pays its own bank.
    return content if sepa else content.replace(b"<ChrgBr>SLEV</ChrgBr>", b"<ChrgBr>SHAR</ChrgBr>")


def decimal(minor: int) -> str:
    """Cents as people and banks write them: 40000 is 400.00."""
    return f"{Decimal(minor) / 100:.2f}"


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_RUNS_IN_A_SPREADSHEET) else cell
