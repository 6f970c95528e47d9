"""Whatever bytes a customer file holds: every line is loaded or set aside, and the second import changes nothing."""

import io

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.database import Database
from notify.customer_file import Good, UnusableFile, read_header, read_rows
from tests.support.customer_files import HEADER, Kept, a_line, directory, load

_few = st.sampled_from(["C1", "C2", "c 1", "Zoë", "é"])
_good_line = st.builds(
    lambda number, mail, phone, reference, needed: a_line(
        customer_number=number, email=mail, phone=phone, reference=reference, needed_at=needed
    ).encode(),
    number=_few,
    mail=st.sampled_from(["", "a@example.org", "A@EXAMPLE.org", "b@example.org"]),
    phone=st.sampled_from(["", "+12125552368", "(212) 555-2368", "+31612345678"]),
    reference=st.sampled_from(["", "R1", "r-1", "R2"]),
    needed=st.sampled_from(["", "2013-02-08T14:30", "2013-02-08T14:30Z"]),
)
_text_line = st.lists(st.text(max_size=20), min_size=7, max_size=10).map(lambda parts: ",".join(parts).encode())
_broken_line = st.builds(
    lambda line, at, junk: line[:at] + junk + line[at:], _good_line, st.integers(0, 90), st.binary(max_size=3)
)
_lines = st.lists(_good_line | _text_line | _broken_line | st.binary(max_size=40), max_size=12)
_ends = st.sampled_from([b"\n", b"\r\n"])


def _count_of_rows(content: bytes) -> int:
    return sum(bool(line.strip()) for line in content.split(b"\n")[1:])


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_first_line_is_understood_or_refused(content: bytes) -> None:
    file = io.BytesIO(content)
    try:
        header = read_header(file)
    except UnusableFile:
        return
    list(read_rows(file, header))


@given(_lines, _ends)
def test_every_line_is_a_good_or_a_bad_row(lines: list[bytes], end: bytes) -> None:
    content = end.join([HEADER.encode(), *lines])
    file = io.BytesIO(content)
    rows = list(read_rows(file, read_header(file)))
    assert len(rows) == _count_of_rows(content)
    assert all(isinstance(one, Good) or (one.reason and one.raw.strip()) for one in rows)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_lines, _ends)
async def test_importing_again_changes_nothing(database: Database, lines: list[bytes], end: bytes) -> None:
    content = end.join([HEADER.encode(), *lines])
    async with database.engine.connect() as tx:
        kept = Kept()
        first = await load(tx, content, kept)
        assert first.rows + first.rejected == _count_of_rows(content)
        assert len(kept.bad) == first.rejected
        before = await directory(tx)
        second = await load(tx, content)
        assert await directory(tx) == before
        assert second.customers == second.customers_unchanged == first.customers
        await tx.rollback()
