"""The text of an SMS, whatever is written: it comes back as it went, no pair is split, and the count is true."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify.sms_text import ALONE, DATA_CODING, IN_PARTS, Part, Written, decode, parts, write

# The alphabet once more, by hand and from the other side: from code to character, as a phone reads it (TS 23.038).
PHONE = dict(enumerate("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ"))
PHONE |= {0x1C: "Æ", 0x1D: "æ", 0x1E: "ß", 0x1F: "É", 0x24: "¤", 0x40: "¡"}
PHONE |= {code: chr(code) for code in range(0x20, 0x5B) if code not in (0x24, 0x40)}
PHONE |= {0x5B: "Ä", 0x5C: "Ö", 0x5D: "Ñ", 0x5E: "Ü", 0x5F: "§", 0x60: "¿"}
PHONE |= {code: chr(code) for code in range(0x61, 0x7B)}
PHONE |= {0x7B: "ä", 0x7C: "ö", 0x7D: "ñ", 0x7E: "ü", 0x7F: "à"}
EXTENDED = {0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|"}
EXTENDED |= {0x65: "€"}

LANGUAGES = st.sampled_from(["en", "nl", "nl-BE", "de", "fr", "pl", "tr", "el", "ru", "ar", "zh"])
SAYABLE = st.text(alphabet=sorted({*PHONE.values(), *EXTENDED.values()} - {"\r", "\f"}), max_size=700)
ANYTHING = st.text(max_size=400) | st.text(alphabet="aé€[]ł😀’—ë\n中", max_size=400)


def read_by_phone(sent: list[Part]) -> str:
    """What a phone shows, decoding each part on its own: a split pair would show."""
    shown = ""
    for part in sent:
        if part.data_coding == 8:
            shown += part.body.decode("utf-16-be")  # strict: half a surrogate pair raises
            continue
        septets = iter(part.body)
        for septet in septets:
            shown += EXTENDED[next(septets)] if septet == 0x1B else PHONE[septet]
    return shown


def by_octets(written: Written) -> int:
    """How many segments a text takes, counted from the sizes alone, by filling one after the other."""
    wide = written.encoding == "ucs2"
    sizes = [
        len(one.encode("utf-16-be")) // 2 if wide else 2 if one in EXTENDED.values() else 1 for one in written.text
    ]
    if sum(sizes) <= (70 if wide else 160):
        return 1
    count, room = 1, 67 if wide else 153
    left = room
    for size in sizes:
        if size > left:
            count, left = count + 1, room
        left -= size
    return count


@given(ANYTHING | SAYABLE, LANGUAGES, st.integers(0, 255))
def test_what_is_written_is_what_a_phone_shows(text: str, language: str, reference: int) -> None:
    written = write(text, language)
    sent = parts(written, reference)
    assert read_by_phone(sent) == written.text
    assert "".join(decode(part.body, written.encoding) for part in sent) == written.text
    assert len(sent) == written.segments == by_octets(written)
    for number, part in enumerate(sent, start=1):
        assert part.data_coding == DATA_CODING[written.encoding]
        if len(sent) == 1:
            assert part.header == b""
        else:
            assert part.header == bytes([5, 0, 3, reference, len(sent), number])
        limit = (ALONE if len(sent) == 1 else IN_PARTS)[written.encoding]
        assert len(part.body) <= limit * (2 if written.encoding == "ucs2" else 1)
        assert len(part.content) <= 160


@given(SAYABLE, LANGUAGES)
def test_what_the_alphabet_can_say_stays_as_it_is(text: str, language: str) -> None:
    written = write(text, language)
    assert (written.text, written.encoding, written.replacements) == (text, "gsm7", ())


@given(ANYTHING, LANGUAGES)
def test_nothing_changes_in_silence_and_nothing_becomes_a_question_mark(text: str, language: str) -> None:
    """Undoing the listed replacements is not possible, but every other character must be where it was."""
    written = write(text, language)
    stand_ins = {one.found: one.replaced_by for one in written.replacements}
    plain = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    assert "".join(stand_ins.get(one, one) for one in plain) == written.text
    assert all(one.times == plain.count(one.found) for one in written.replacements)
    assert written.text.count("?") == plain.count("?")
    if written.encoding == "ucs2":
        assert {one.why for one in written.replacements} <= {"control"}


@given(ANYTHING, LANGUAGES)
def test_writing_again_changes_nothing(text: str, language: str) -> None:
    once = write(text, language)
    again = write(once.text, language)
    assert (again.text, again.encoding, again.segments, again.replacements) == (
        once.text,
        once.encoding,
        once.segments,
        (),
    )


@given(st.binary(max_size=300), st.sampled_from(["gsm7", "ucs2"]))
def test_any_bytes_can_be_read(body: bytes, encoding: str) -> None:
    decode(body, "ucs2" if encoding == "ucs2" else "gsm7")


@pytest.mark.parametrize(
    ("text", "language", "encoding", "sent"),
    [
        ("Uw vlucht’s gate – 12 … “A”", "nl", "gsm7", 'Uw vlucht\'s gate - 12 ... "A"'),
        ("geïnformeerd, reünie, één", "nl", "gsm7", "geinformeerd, reünie, één"),
        ("ça coûte 5 €", "fr", "gsm7", "ca coute 5 €"),
        ("Żółta łódź", "pl", "ucs2", "Żółta łódź"),
        ("Żółta łódź", "nl", "gsm7", "Zólta lódz".replace("ó", "o")),
        ("Καλημέρα", "el", "ucs2", "Καλημέρα"),
        ("Вылет отменён", "ru", "ucs2", "Вылет отменён"),
        ("Gate 5 ✈", "en", "ucs2", "Gate 5 ✈"),
        ("a\u200bb\x00c", "en", "gsm7", "abc"),
    ],
)
def test_the_choice_between_replacing_and_ucs2(text: str, language: str, encoding: str, sent: str) -> None:
    written = write(text, language)
    assert (written.encoding, written.text) == (encoding, sent)


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("a" + "€" * 80, 2),
        ("a" * 152 + "€" + "b" * 10, 2),
        ("a" * 152 + "€" + "b" * 152, 3),  # the pair does not fit beside 152, so the first part is one short
        ("中" * 70, 1),
        ("中" * 71, 2),
        ("中" * 66 + "😀" + "中" * 66, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
    ],
)
def test_segments_at_the_borders(text: str, segments: int) -> None:
    assert write(text).segments == segments
