from __future__ import annotations

import contextlib
import json
from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from number_directory.errors import AnswerError, DirectoryError, StatementError
from number_directory.move import TYPE, SignedMove
from number_directory.statement import (
    LARGEST_STATEMENT,
    SignedStatement,
    Succession,
    decode_answer,
    read_statement_body,
    statement_body,
    supersedes,
)
from stir.jws import chain_members
from stir.telephone_number import TelephoneNumber
from tests.fakes.directory_statements import (
    CALLED,
    ISSUED_AT,
    OTHER_KEY,
    OTHER_URL,
    OWNER,
    SECOND,
    URL,
    dumps,
    forged,
    published,
    record,
    withdrawn,
)

CLAIMS = {"from": URL, "iat": ISSUED_AT, "seq": 1, "tn": CALLED.e164, "to": OTHER_URL}
"""Those of a move, the plainest statement."""


def move(claims: object = None, **header: object) -> str:
    """Return a move with some claims replaced."""
    payload = claims if isinstance(claims, bytes) else dumps(CLAIMS if claims is None else claims)
    members = chain_members(SignedMove.KIND, OWNER.chain)
    return forged(TYPE, payload, header={**members, **header} if header else None)


def test_a_statement_is_signed_by_the_key_of_its_chain() -> None:
    """RFC 7515 §5.2: another key did not sign it."""
    statement = SignedMove.parse(move())
    statement.verify(OWNER.key.public_key())
    with pytest.raises(DirectoryError, match="not signed by the key"):
        statement.verify(OTHER_KEY.key.public_key())


def test_a_statement_brings_its_chains() -> None:
    """Several authorities may vouch for one key."""
    alone = SignedMove.parse(move())
    assert alone.chains == (OWNER.chain,)
    assert alone.chain == OWNER.chain
    both = SignedMove.parse(forged(TYPE, CLAIMS, header=chain_members(SignedMove.KIND, OWNER.chain, [SECOND.chain])))
    assert both.chains == (OWNER.chain, SECOND.chain)
    assert both.content == alone.content == dumps(CLAIMS)
    assert both.hash != alone.hash == sha256(alone.token.encode()).digest()


def test_statements_are_of_one_key_whoever_certified_it() -> None:
    """Another authority's certificate for the same key makes no difference, and another key does."""
    assert published().shares_key_with(published(by=SECOND))
    assert not published().shares_key_with(published(by=OTHER_KEY))


@pytest.mark.parametrize(
    "header", [{"kid": "1"}, {"x5u": "https://ca.example/chain.pem"}, {"jwk": {}}, {"crit": ["exp"]}]
)
def test_a_header_has_nothing_else(header: dict[str, object]) -> None:
    """RFC 8725 §3.10: no other place is asked for the key."""
    with pytest.raises(StatementError):
        SignedMove.parse(move(**header))


def test_a_header_has_a_chain() -> None:
    """RFC 7515 §4.1.6: the signer's certificate comes with what it signs."""
    with pytest.raises(StatementError, match="x5c"):
        SignedMove.parse(forged(TYPE, CLAIMS, header={}))


@pytest.mark.parametrize(
    "payload",
    [
        json.dumps(CLAIMS, sort_keys=True).encode(),
        json.dumps(dict(reversed(CLAIMS.items())), separators=(",", ":")).encode(),
        dumps(CLAIMS).replace(b"https", b"\\u0068ttps"),
        dumps(CLAIMS).replace(b'"seq":1', b'"seq":1,"seq":1'),
        dumps(CLAIMS).replace(b'"seq":1', b'"seq":1.0'),
        dumps(CLAIMS | {"more": 1}),
        dumps(CLAIMS | {"seq": "1"}),
        dumps(CLAIMS | {"seq": True}),
        dumps(CLAIMS | {"seq": 0}),
        dumps(CLAIMS | {"seq": 2**53}),
        dumps(CLAIMS | {"iat": -1}),
        dumps(CLAIMS | {"iat": None}),
        dumps(CLAIMS | {"tn": CALLED.digits}),
        dumps(CLAIMS | {"tn": "+44 20 7946 0018"}),
        dumps(CLAIMS | {"to": "https://rs.example/"}),
        dumps(CLAIMS | {"to": "ftp://rs.example"}),
        dumps({name: value for name, value in CLAIMS.items() if name != "tn"}),
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 9000,
    ],
)
def test_claims_have_one_encoding_and_no_others_beside_them(payload: bytes) -> None:
    """Two statements say the same if and only if their content is the same bytes."""
    with pytest.raises(StatementError) as caught:
        SignedMove.parse(move(payload))
    assert CALLED.digits not in str(caught.value)


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_gives_this_rooms_error(text: str) -> None:
    """No text makes the reader raise anything else."""
    with pytest.raises(StatementError):
        SignedMove.parse(text)


@given(st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_the_higher_sequence_counts(old: int, new: int, differs: bool) -> None:
    """`seq` only grows; the same one with other content is a conflict."""
    first = published(record(sequence=old))
    second = published(record(sequence=new, uris=("https://elsewhere.example/u",)) if differs else record(sequence=new))
    expected = (
        Succession.NEWER
        if new > old
        else Succession.OLDER
        if new < old
        else Succession.CONFLICT
        if differs
        else Succession.SAME
    )
    assert supersedes(first, second) is expected


def test_the_first_statement_counts() -> None:
    """There is nothing to compare it with."""
    assert supersedes(None, published()) is Succession.NEWER
    assert supersedes(published(withdrawn(sequence=2)), published()) is Succession.OLDER


def test_the_same_statement_may_come_under_another_chain() -> None:
    """What is stated counts, not which authority vouches for the key."""
    assert supersedes(published(), published(by=SECOND)) is Succession.SAME


def test_a_statement_travels_in_json() -> None:
    """What is wrapped is unwrapped."""
    assert read_statement_body(statement_body("a.b.c")) == "a.b.c"
    assert json.loads(statement_body("a.b.c")) == {"statement": "a.b.c"}


@given(st.binary(max_size=40))
@example(b"{}")
@example(b"[" * 9000)
@example(b'{"statement":"a","more":1}')
@example(b'{"statement":1}')
@example(b'{"statement":"' + b"a" * LARGEST_STATEMENT + b'","more":"' + b"a" * 99 + b'"}')
@example(b'{"statement":"\xff"}')
def test_any_body_gives_this_rooms_error(body: bytes) -> None:
    """No body makes the reader raise anything else."""
    with pytest.raises(StatementError):
        read_statement_body(body)


@given(st.binary(max_size=40))
def test_any_answer_gives_this_rooms_error(data: bytes) -> None:
    """Nor does any answer."""
    with contextlib.suppress(AnswerError):
        decode_answer(data, dict[str, str], 30, "to a test")  # type: ignore[type-var]


def test_a_refusal_quotes_no_number() -> None:
    """What is said to a person, or logged, holds no telephone number and nothing that a terminal obeys."""
    for name in (CALLED.e164, "\x1b[2J", "a" * 500):
        with pytest.raises(StatementError) as caught:
            read_statement_body(dumps({name: 1, "statement": "a"}))
        assert name not in str(caught.value)
        assert "\x1b" not in str(caught.value)


def test_a_statement_is_hidden_in_its_repr() -> None:
    """No repr carries a statement or a number into a log."""
    statement = SignedMove.parse(move())
    assert statement.token not in repr(statement)
    assert statement.number == CALLED
    assert CALLED.digits not in repr(statement)
    assert isinstance(statement, SignedStatement)
    assert TelephoneNumber.parse(CLAIMS["tn"]) == statement.number  # type: ignore[arg-type]
