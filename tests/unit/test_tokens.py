"""Signed tokens: only ours, only for their purpose, in one spelling, and across a change of keys."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.tokens import BadToken, Tokens

OLD, NEW = b"o" * 32, b"n" * 32


@given(st.binary(max_size=64))
def test_what_was_signed_is_read_back(payload: bytes) -> None:
    tokens = Tokens([NEW])
    assert tokens.read("track", tokens.sign("track", payload)) == payload


def test_a_token_serves_one_purpose() -> None:
    tokens = Tokens([NEW])
    with pytest.raises(BadToken):
        tokens.read("unsubscribe", tokens.sign("track", b"7"))


@given(st.text(max_size=80))
def test_nothing_else_is_a_token(text: str) -> None:
    with pytest.raises(BadToken):
        Tokens([NEW]).read("track", text)


@given(st.binary(max_size=20), st.data())
def test_changing_any_character_spoils_it(payload: bytes, data: st.DataObject) -> None:
    tokens = Tokens([NEW])
    token = tokens.sign("track", payload)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("abcXYZ019-_").filter(lambda character: character != token[at]))
    with pytest.raises(BadToken):
        tokens.read("track", token[:at] + other + token[at + 1 :])


def test_links_already_mailed_survive_a_new_key() -> None:
    token = Tokens([OLD]).sign("track", b"7")
    assert Tokens([NEW, OLD]).read("track", token) == b"7"
    with pytest.raises(BadToken):
        Tokens([NEW]).read("track", token)


def test_a_name_is_stable_and_keyed() -> None:
    name = Tokens([OLD]).names("delivery").name("7")
    assert re.fullmatch("[0-9a-f]{24}", name)
    assert name == Tokens([OLD]).names("delivery").name("7")
    others = [Tokens([NEW]).names("delivery"), Tokens([OLD]).names("contact")]
    assert name not in [one.name("7") for one in others] + [Tokens([OLD]).names("delivery").name("8")]


def test_names_already_mailed_are_known_under_a_new_key() -> None:
    name = Tokens([OLD]).names("delivery").name("7")
    rotated = Tokens([NEW, OLD]).names("delivery")
    assert rotated.name("7") != name
    assert rotated.knows(name, "7")
    assert not rotated.knows(name, "8")
    assert not Tokens([NEW]).names("delivery").knows(name, "7")
    assert not rotated.knows("é", "7")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Tokens([b"short"])
