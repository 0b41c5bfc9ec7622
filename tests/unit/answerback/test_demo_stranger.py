"""The demo's stranger finds no number in a log, and would find one that could be found."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from answerback.demo.stranger import everything_shown, numbers_in
from stir.telephone_number import TelephoneNumber
from tests.fakes.log_simulator import LogSimulator
from tests.fakes.small_pki import CALLER, root
from transparency import entry
from transparency.entry import vrf_input
from transparency.vrf import output_of

CANDIDATES = [TelephoneNumber(f"1202555{last:04}") for last in range(1000)]


@pytest.fixture
def log() -> LogSimulator:
    """Return a log that has the caller's certificate among others, and shows everything."""
    made = LogSimulator()
    made.fill(20)
    made.certify(root(), CALLER)
    made.fill(300)
    made.publish()
    return made


def shown_by(log: LogSimulator, folder: Path) -> bytes:
    """Return what the stranger reads, from files as a log publishes them."""
    for path, data in log.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return everything_shown(folder)


def test_a_stranger_finds_no_number(log: LogSimulator, tmp_path: Path) -> None:
    """The caller's number is among those that are tried, and its label is there to be found."""
    assert CALLER in CANDIDATES
    shown = shown_by(log, tmp_path)
    assert log.label(CALLER) in shown
    assert numbers_in(shown, log.description, CANDIDATES) == []


def test_with_the_logs_secret_key_the_same_search_finds_it(log: LogSimulator, tmp_path: Path) -> None:
    """What keeps the number is the key alone: whoever has it tells the one number from a thousand."""
    shown = shown_by(log, tmp_path)
    labels = {one: entry.label(output_of(log.vrf.prove(vrf_input(log.shard.origin, one)))) for one in CANDIDATES}
    assert [one for one, label in labels.items() if label in shown] == [CALLER]


@pytest.mark.parametrize("leak", ["plain", "hash", "input", "public key"])
def test_a_log_that_hides_a_number_badly_is_seen_through(log: LogSimulator, tmp_path: Path, leak: str) -> None:
    """A number in the clear, or under any function that everybody can compute, is found."""
    public = log.shard.vrf_key.data
    log.files["tile/entries/leak"] = {
        "plain": f"x{CALLER.digits}y".encode(),
        "hash": hashlib.sha256(CALLER.e164.encode()).digest(),
        "input": hashlib.sha512(vrf_input(log.shard.origin, CALLER)).digest(),
        "public key": hmac.digest(public, CALLER.digits.encode(), hashlib.sha256),
    }[leak]
    assert numbers_in(shown_by(log, tmp_path), log.description, CANDIDATES) == [CALLER]
