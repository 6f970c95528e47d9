"""A file of components: what one row may say, and which rows fit together."""

import io

import pytest

from incidents.component_file import COLUMNS, REQUIRED, BadComponent, ComponentRow, read_component, sort_out
from notify.customer_file import Bad, Header, Texts, UnusableFile, read_header, read_texts

FLIGHT = "DL1117/2013-02-08/LGA"


def a_row(**changes: str) -> ComponentRow:
    values = {**dict.fromkeys(COLUMNS, ""), "key": FLIGHT, "name": "DL1117 to Atlanta", **changes}
    return read_component([values[column] for column in COLUMNS])


def read(content: str) -> tuple[Header, list[Texts | Bad]]:
    file = io.BytesIO(content.encode())
    header = read_header(file, COLUMNS, REQUIRED)
    return header, list(read_texts(file, header))


def test_a_row_becomes_checked_values() -> None:
    row = a_row(
        name=" Delta  1117 ", group="LGA  Delta", party="Delta", party_kind="Supplier", position="12", needs="LGA"
    )
    assert row == (FLIGHT, "Delta 1117", "LGA Delta", "Delta", "supplier", 12, ("LGA",))


def test_only_key_and_name_are_asked_for() -> None:
    assert a_row() == (FLIGHT, "DL1117 to Atlanta", None, None, None, 0, ())


def test_needs_are_keys_as_customer_files_have_them() -> None:
    assert a_row(needs=" UA1/2013-02-08/EWR | check in |runway 4,22||check in ").needs == (
        "UA1/2013-02-08/EWR",
        "check in",
        "runway 4,22",
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key": " "}, "key is empty"),
        ({"name": ""}, "name is empty"),
        ({"key": "k" * 201}, "key is longer than 200 characters"),
        ({"group": "g" * 201}, "group is longer than 200 characters"),
        ({"key": "a|b"}, "key holds |"),
        ({"party_kind": "ours"}, "party_kind says of what kind"),
        ({"party": "Delta", "party_kind": "friend"}, "party_kind must be one of ours, contractor, supplier"),
        ({"position": "first"}, "position must be a whole number"),
        ({"position": "-1"}, "position must be a whole number"),
        ({"position": "²"}, "position must be a whole number"),
        ({"position": "1234567890"}, "position must be a whole number"),
        ({"needs": f"LGA|{FLIGHT}"}, "needs names the component itself"),
    ],
)
def test_a_bad_row_says_why(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(BadComponent) as refused:
        a_row(**changes)
    assert str(refused.value).startswith(reason)


def test_columns_left_out_are_empty_and_known_to_be() -> None:
    header, lines = read("name;key;remark\nDelta 1117;DL1117;x\n\nshort\n")
    assert [name for name, place in zip(COLUMNS, header.places, strict=True) if place < header.width] == ["key", "name"]
    assert header.ignored == ("remark",)
    good, bad = lines
    assert isinstance(good, Texts)
    assert (good.line, list(good.texts)) == (2, ["DL1117", "Delta 1117", "", "", "", "", ""])
    assert isinstance(bad, Bad)
    assert (bad.line, bad.reason) == (4, "1 columns, where the first line has 3")


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(UnusableFile, match=r"missing: key\. .* a column nobody uses may be left out"):
        read("customer_number,name\n")


def test_a_need_exists_or_stands_on_a_line_that_can_be_stored() -> None:
    rows = {
        2: a_row(key="belt", needs="power"),
        3: a_row(key="desk", needs="nowhere"),
        4: a_row(key="gate", needs="desk"),
        5: a_row(key="power", needs="belt|grid"),
    }
    good, refused = sort_out(rows, {"grid"})
    assert set(good) == {2, 5}
    assert refused == {
        3: "needs nowhere, which is neither in the file (on a line that can be loaded) nor known yet",
        4: "needs desk, whose own line 3 cannot be loaded",
    }
    assert set(sort_out(rows, {"grid", "desk"}).good) == {2, 4, 5}


def test_a_key_is_described_once_and_a_party_has_one_kind() -> None:
    rows = {
        2: a_row(key="a", party="KPN", party_kind="supplier"),
        3: a_row(key="b", party="KPN"),
        4: a_row(key="c", party="KPN", party_kind="ours"),
        5: a_row(key="a"),
    }
    assert sort_out(rows, set()).refused == {
        4: "party_kind: KPN is ours here and supplier on line 2",
        5: "key a is described on line 2 already",
    }
