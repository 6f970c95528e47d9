"""What both sides of the SMS bench send, and to whom. Values only."""

SENDER = "Stormdesk"
# Within the alphabet, one segment: what is measured is sending, not writing.
TEXT = "Northwind Air: your flight is cancelled. Keep your booking at hand. https://status.example.com/incidents/ab12cd"


def phone(number: int) -> str:
    """The number of recipient `number`, from 1; nobody has it."""
    return f"+3161{number:07}"
