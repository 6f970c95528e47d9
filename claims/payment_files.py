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
    """The run as a SEPA credit transfer, checked against the schema. Raises Conflict unless it is euros, to accounts.

    Each payment has the same end-to-end identifier whenever the file is made, so the bank and we can tell it again.
    """
    if run.currency != "EUR" or run.pays != "account":
        raise Conflict("A SEPA file is for transfers in euros. Use the CSV file for this run.", code="not_sepa")
    config = {"name": payer.name, "IBAN": payer.iban, "batch": True, "currency": "EUR"}
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
    return content


def decimal(minor: int) -> str:
    """Cents as people and banks write them: 40000 is 400.00."""
    return f"{Decimal(minor) / 100:.2f}"


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_RUNS_IN_A_SPREADSHEET) else cell
