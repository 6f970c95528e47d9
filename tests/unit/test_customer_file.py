"""Lines of a customer file, good and bad: each bad one says what is wrong with it."""

import io
from datetime import UTC, datetime

import pytest

from notify.customer_file import LONGEST_LINE, Bad, Good, UnusableFile, read_header, read_rows
from tests.support.customer_files import HEADER, a_file, a_line


def read(content: bytes) -> list[Good | Bad]:
    file = io.BytesIO(content)
    return list(read_rows(file, read_header(file)))


def only_good(content: bytes) -> Good:
    (one,) = read(content)
    assert isinstance(one, Good), one
    return one


def only_bad(content: bytes) -> Bad:
    (one,) = read(content)
    assert isinstance(one, Bad), one
    return one


def test_a_good_line_becomes_checked_values() -> None:
    good = only_good(a_file(a_line(name=" Anna  Müller-Ångström ", email="Anna@Example.ORG", language="nl-BE")))
    assert good.line == 2
    assert good.row.name == "Anna Müller-Ångström"
    assert good.row.name_key == "anna muller angstrom"
    assert good.row.mail == "anna@example.org"
    assert good.row.phone == "+12125552368"
    assert good.row.language == "nl"
    assert good.row.needed_at == datetime(2013, 2, 8, 19, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + a_file(a_line()),
        a_file(a_line(), end="\r\n"),
        a_file(a_line()).rstrip(b"\n"),
        a_file(a_line().replace(",", ";"), header=HEADER.replace(",", ";")),
        a_file(a_line().replace(",", "\t"), header=HEADER.replace(",", "\t")),
        a_file(",".join(f'"{part}"' for part in a_line().split(",")), header=HEADER.upper()),
        a_file("", a_line(), "  ", ""),
        a_file("x," + a_line(), header="rejected_line," + HEADER),
    ],
    ids=["BOM", "CRLF", "no last newline", "semicolons", "tabs", "quoted", "blank lines", "unknown column"],
)
def test_files_as_other_programs_write_them_are_read(content: bytes) -> None:
    assert only_good(content).row.number == "C1"


def test_columns_may_stand_in_any_order() -> None:
    header, line = (",".join(reversed(text.split(","))) for text in (HEADER, a_line()))
    assert only_good(a_file(line, header=header)).row.name == "Anna Jansen"


def test_a_quoted_comma_belongs_to_its_text() -> None:
    assert only_good(a_file(a_line(name='"Jansen, Anna ""Ans"""'))).row.name == 'Jansen, Anna "Ans"'


@pytest.mark.parametrize(
    ("changes", "needed_at"),
    [
        ({"needed_at": ""}, None),
        ({"needed_at": "2013-02-08 14:30"}, datetime(2013, 2, 8, 19, 30, tzinfo=UTC)),
        ({"needed_at": "2013-07-08T14:30"}, datetime(2013, 7, 8, 18, 30, tzinfo=UTC)),
        ({"needed_at": "2013-02-08T14:30:00Z"}, datetime(2013, 2, 8, 14, 30, tzinfo=UTC)),
        ({"needed_at": "20130208T143000+0100"}, datetime(2013, 2, 8, 13, 30, tzinfo=UTC)),
    ],
)
def test_times_have_an_offset_or_are_local(changes: dict[str, str], needed_at: datetime | None) -> None:
    assert only_good(a_file(a_line(**changes))).row.needed_at == needed_at


def test_a_phone_number_without_country_is_one_of_the_rows_time_zone() -> None:
    line = a_line(phone="06-12 34 56 78", time_zone="Europe/Amsterdam")
    assert only_good(a_file(line)).row.phone == "+31612345678"


def test_a_customer_may_have_no_address_and_no_reference() -> None:
    row = only_good(a_file(a_line(email="", phone=" ", reference=""))).row
    assert (row.mail, row.phone, row.reference) == (None, None, "")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (a_line(customer_number=" "), "customer_number is empty"),
        (a_line(name=""), "name is empty"),
        (a_line(component=""), "component is empty"),
        (a_line(customer_number="9" * 61), "customer_number is longer than 60 characters"),
        (a_line(reference="R" * 101), "reference is longer than 100 characters"),
        (a_line(email="anna"), "email: This is not a mail address"),
        (a_line(phone="none"), "phone: This is not a phone number"),
        (a_line(language=""), "language must be a code"),
        (a_line(language="klingon"), "language must be a code"),
        (a_line(time_zone="Amsterdam"), "time_zone must be an IANA name"),
        (a_line(time_zone="../../etc/passwd"), "time_zone must be an IANA name"),
        (a_line(time_zone="Europe"), "time_zone must be an IANA name"),
        (a_line(needed_at="8 February"), "needed_at needs a date and a time"),
        (a_line(needed_at="2013-02-08"), "needed_at needs a date and a time"),
        (a_line(needed_at="2013-02-30T14:30:00"), "needed_at must be ISO 8601"),
        (a_line(needed_at="0001-01-01T00:00:00+14:00"), "needed_at must be ISO 8601"),
        (a_line(needed_at="2913-02-08T14:30:00Z"), "needed_at lies outside"),
        (a_line() + ",", "10 columns, where the first line has 9"),
        ("C1,Anna", "2 columns, where the first line has 9"),
        (a_line(name='"Anna'), "a quote is not closed"),
        (a_line(name='"Anna" Jansen'), "a quote is not closed"),
        (a_line(name="An\x00na"), "holds a NUL byte"),
        (a_line(name="An\x1bna"), "holds a control character (U+001B)"),
        (a_line(name="An\rna"), "holds a control character (U+000D)"),
        (a_line(name="An\u2028na"), "holds a control character (U+2028)"),
        (a_line(name="Zoë").encode("latin-1"), "not UTF-8 (byte 6 of the line)"),
        (b" " * (LONGEST_LINE + 10) + a_line().encode(), "the line is longer than"),
    ],
)
def test_a_bad_line_says_why_and_costs_nobody_else(line: str | bytes, reason: str) -> None:
    first, bad, last = read(a_file(a_line(), line, a_line()))
    assert isinstance(first, Good)
    assert isinstance(last, Good)
    assert isinstance(bad, Bad)
    assert bad.line == 3
    assert bad.reason.startswith(reason)


def test_a_bad_line_keeps_its_bytes_and_its_customer() -> None:
    line = a_line(name="Zoë").encode("latin-1")
    bad = only_bad(a_file(line))
    assert bad.raw == line + b"\n"
    assert bad.number == "C1"
    assert only_bad(a_file(b"\xff\xff," + b"," * 7)).number is None


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"", "no first line with column names"),
        (b"\n" + a_file(a_line()), "no first line with column names"),
        (a_file(a_line(), header=HEADER.replace(",phone", "")), "missing: phone"),
        (a_line().encode(), "must name the columns"),
        (a_file(header=HEADER + ",name"), "names a column twice: name"),
        (b"PK\x03\x04...", "Save it as CSV"),
        (HEADER.encode("utf-16"), "UTF-16"),
        ((HEADER + ",é").encode("latin-1"), "Save the file as CSV in UTF-8"),
        (b"x" * 100_000, "never ends"),
    ],
)
def test_a_file_that_cannot_be_read_says_what_to_do(content: bytes, advice: str) -> None:
    with pytest.raises(UnusableFile, match=advice):
        read_header(io.BytesIO(content))
