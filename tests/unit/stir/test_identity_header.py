from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stir.errors import IdentityHeaderError, PassportError
from stir.identity_header import IdentityHeader, token_of
from stir.passport import Passport, sign
from tests.unit.stir.strategies import passports
from tests.vectors.make_stir_vectors import CALL, CALLED, CHAIN_URL, LEAF, NUMBER, NUMBER_KEY, token_with

BY_URL = token_with()
BY_CHAIN = sign(CALL, NUMBER_KEY, chain=(LEAF,))


@given(passports, st.booleans())
def test_a_header_survives_its_text(stated: Passport, with_chain: bool) -> None:
    """What is written is read back, whether the token brings its chain or names it."""
    chain, url = ((LEAF,), None) if with_chain else ((), CHAIN_URL)
    header = IdentityHeader.for_token(sign(stated, NUMBER_KEY, chain=chain, certificate_url=url))
    assert IdentityHeader.parse(header.format()) == header
    assert header.signed.passport == stated


def test_the_parameters_follow_from_the_token() -> None:
    """RFC 8224 §4.1: info is the x5u, alg and ppt are the token's."""
    assert IdentityHeader.for_token(BY_URL).format() == f"{BY_URL};info=<{CHAIN_URL}>;alg=ES256"


def test_a_chain_is_named_by_its_first_certificate() -> None:
    """RFC 6920 §3: the SHA-256 of the DER, in base64url."""
    info = IdentityHeader.for_token(BY_CHAIN).info
    assert info.startswith("ni:///sha-256;")
    assert len(info.partition(";")[2]) == 43


def test_a_header_that_contradicts_its_token_cannot_exist() -> None:
    """RFC 8224 §4.1: the parameters mirror the token, however the value is made."""
    for change in ({"info": "https://elsewhere.example/"}, {"algorithm": "ES384"}, {"ppt": "msg"}, {"info": "no uri"}):
        with pytest.raises(IdentityHeaderError):
            IdentityHeader(**({"token": BY_URL, "info": CHAIN_URL} | change))


@given(st.text())
def test_any_text_gives_this_rooms_error(text: str) -> None:
    """No text makes the reader raise anything else."""
    with pytest.raises(PassportError):
        IdentityHeader.parse(text)


@given(st.text(alphabet=";=<>\"'\\ \t\r\nabinfoalgppt:/,[]-é", max_size=40))
def test_any_parameters_give_a_header_or_this_rooms_error(parameters: str) -> None:
    """Whatever follows the token is read or refused; nothing else is raised."""
    for token in (BY_URL, BY_CHAIN):
        try:
            header = IdentityHeader.parse(f"{token};info=<{CHAIN_URL}>{parameters}")
        except PassportError:
            continue
        assert header.info == CHAIN_URL


def test_the_token_of_whatever_came_in_is_found() -> None:
    """It may stand in a header's value, behind the header's name in either form, or alone."""
    header = IdentityHeader.for_token(BY_URL).format()
    for text in (header, f"Identity: {header}", f"y:{header}\r\n", f" {BY_URL}\n"):
        assert token_of(text) == BY_URL
    assert token_of("garbage") == "garbage"


def test_a_header_of_another_name_has_no_token() -> None:
    """What stands in a foreign header was not meant as an identity."""
    with pytest.raises(PassportError):
        token_of(f"Subject: {IdentityHeader.for_token(BY_URL).format()}")


def test_a_header_hides_its_numbers() -> None:
    """No repr carries a number or a token into a log."""
    text = repr(IdentityHeader.for_token(BY_CHAIN))
    assert NUMBER.digits not in text
    assert CALLED not in text
    assert BY_CHAIN not in text
