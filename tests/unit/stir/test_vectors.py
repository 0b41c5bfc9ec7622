from __future__ import annotations

import json
from typing import Any

import pytest

from stir import key_authorization
from tests.vectors import make_stir_vectors as maker

KINDS = sorted(maker.READERS)
MADE = maker.vectors()


def kept(kind: str) -> list[dict[str, Any]]:
    """Return the cases of a format as they are checked in."""
    return json.loads((maker.FOLDER / f"{kind}.json").read_text(encoding="utf-8"))


def cases() -> list[Any]:
    """Return every case of every format that is read."""
    return [pytest.param(kind, case, id=f"{kind}: {case['name']}") for kind in KINDS for case in kept(kind)]


@pytest.mark.parametrize("kind", sorted(MADE))
def test_the_script_makes_the_vectors_that_are_checked_in(kind: str) -> None:
    """The vectors are the same bytes whenever and wherever they are made."""
    assert (maker.FOLDER / f"{kind}.json").read_text(encoding="utf-8") == maker.written(MADE[kind])


@pytest.mark.parametrize(("kind", "case"), cases())
def test_a_vector_is_read_or_refused_as_it_says(kind: str, case: dict[str, Any]) -> None:
    """Each input is read to what stands beside it, or refused with the error that stands beside it."""
    expected = {name: case[name] for name in ("expect", "error") if name in case}
    assert maker.outcome(lambda: maker.READERS[kind](case["input"])) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_cases_of_a_format_have_different_names(kind: str) -> None:
    """A case can be found by its name."""
    names = [case["name"] for case in kept(kind)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", KINDS)
def test_a_format_has_cases_that_are_read_and_cases_that_are_refused(kind: str) -> None:
    """No format's vectors test only one of the two."""
    assert {"expect" in case for case in kept(kind)} == {True, False}


@pytest.mark.parametrize("case", kept("key_authorization"), ids=lambda case: case["part1"])
def test_a_key_authorization_and_its_digest_are_those_of_the_vector(case: dict[str, str]) -> None:
    """Both ends of an SMS challenge come to the same digest."""
    given = case["part1"], case["part2"], bytes.fromhex(case["thumbprint"])
    assert key_authorization.key_authorization(*given) == case["key_authorization"]
    assert key_authorization.digest(*given) == case["digest"]
