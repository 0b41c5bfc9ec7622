from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.errors import MoveError
from number_directory.move import TYPE, Move, SignedMove
from number_directory.statement import Succession, supersedes
from tests.fakes.directory_statements import ISSUED_AT, OTHER_URL, OWNER, SECOND, URL, dumps, forged
from tests.fakes.small_pki import CALLED
from tests.unit.number_directory.strategies import json_values, moves

MOVE = Move(CALLED, URL, OTHER_URL, 1, ISSUED_AT)
CLAIMS: dict[str, object] = {"from": URL, "iat": ISSUED_AT, "seq": 1, "tn": CALLED.e164, "to": OTHER_URL}


@given(moves)
def test_a_move_survives_its_text(stated: Move) -> None:
    """What is signed is read back, and its key verifies it."""
    read = SignedMove.parse(stated.sign(OWNER.key, OWNER.chain, [SECOND.chain]))
    read.verify(OWNER.key.public_key())
    assert read.move == stated
    assert (read.number, read.sequence, read.issued_at) == (stated.number, stated.sequence, stated.issued_at)


def test_the_later_move_counts() -> None:
    """A number that moves on is found at the end of its way."""
    first, second = (SignedMove.parse(replace(MOVE, sequence=seq).sign(OWNER.key, OWNER.chain)) for seq in (1, 2))
    assert supersedes(first, second) is Succession.NEWER
    assert first.content == dumps(CLAIMS)


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "https://rs.example/"},
        {"destination": "rs.example"},
        {"destination": URL},
        {"sequence": 0},
        {"issued_at": 2**53},
    ],
)
def test_a_move_outside_the_format_cannot_exist(change: dict[str, object]) -> None:
    """A value of Move is one that can be signed; it leads somewhere else."""
    with pytest.raises(MoveError):
        replace(MOVE, **change)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "x"]), json_values, min_size=1, max_size=3))
def test_any_claims_give_a_move_or_this_rooms_error(change: dict[str, object]) -> None:
    """Whatever stands in a claim, it is read or refused."""
    try:
        read = SignedMove.parse(forged(TYPE, CLAIMS | change))
    except MoveError as error:
        assert CALLED.digits not in str(error)  # noqa: PT017 - some of it is a move
    else:
        assert read.move
