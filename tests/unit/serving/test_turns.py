from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from serving.turns import Turns, step_aside

TIMEOUT = 60


@dataclass(eq=False)
class Held:
    """A connection, as far as it matters to turns."""

    sock: socket.socket
    timeout: float = 0.0


@contextmanager
def connections(timeouts: list[float]) -> Iterator[list[tuple[Held, socket.socket]]]:
    """Return connections with their clients' ends."""
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in timeouts]
        for one in (one for pair in pairs for one in pair):
            stack.enter_context(one)
        yield [(Held(here, timeout), there) for timeout, (here, there) in zip(timeouts, pairs, strict=True)]


def test_who_was_silent_for_too_long_is_dismissed() -> None:
    """A connection whose time is over waits no more; one whose client has just asked is answered first."""
    turns: Turns[Held] = Turns()
    with connections([1.0, 1.0, 9.0]) as ((silent, _), (asking, client), (young, _)):
        for connection in (silent, asking, young):
            turns.wait_for(connection)
        client.sendall(b"G")
        assert list(turns.dismiss(most=3, now=5.0)) == [silent]
        assert len(turns) == 2
        assert turns.next() is asking


def test_where_too_many_wait_who_waited_longest_is_dismissed() -> None:
    """More than so many connections do not wait, so that others find room."""
    turns: Turns[Held] = Turns()
    with connections([9.0, 9.0, 9.0]) as ((first, client), (second, _), (third, _)):
        for connection in (first, second, third):
            turns.wait_for(connection)
        client.sendall(b"G")
        assert turns.next() is first
        turns.wait_for(first)  # its client was answered, so that it is the youngest
        assert list(turns.dismiss(most=2, now=5.0)) == [second]
        assert list(turns.dismiss(most=0, now=5.0)) == [third, first]


def test_who_is_in_a_hurry_waits_for_nobody_longer() -> None:
    """A time beyond which nobody waits is kept by those who would have waited longer, and by those who come later."""
    turns: Turns[Held] = Turns()
    with connections([1.0, 9.0, 9.0]) as ((soon, _), (late, _), (later, _)):
        for connection in (soon, late):
            turns.wait_for(connection)
        turns.hurry(5.0)
        assert (soon.timeout, late.timeout) == (1.0, 5.0)
        turns.wait_for(later)
        assert later.timeout == 5.0


def test_a_connection_is_one_threads_until_it_waits_again() -> None:
    """Who stepped aside keeps its connection, whatever its client sends; the next thread has the next connection."""
    turns: Turns[Held] = Turns()
    with connections([9.0, 9.0]) as ((first, client), (second, other)):
        turns.wait_for(first)
        client.sendall(b"G")
        assert turns.next() is first
        step_aside()
        step_aside()  # once is enough
        turns.wait_for(second)
        other.sendall(b"G")
        found: list[Held | None] = []
        thread = threading.Thread(target=lambda: found.extend(iter(turns.next, None)))
        thread.start()
        turns.end()
        thread.join(TIMEOUT)
        assert found == [second]
        turns.wait_for(first)
        assert turns.next() is None


def test_a_turn_is_kept_where_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who would step aside for nobody keeps its turn; who does so for a client gives it up."""
    monkeypatch.setattr("serving.turns._LONGEST_SECONDS", TIMEOUT)  # else it would be ended for taking long
    turns: Turns[Held] = Turns()
    with connections([9.0, 9.0]) as ((first, client), (second, _)):
        turns.wait_for(first)
        client.sendall(b"G")
        assert turns.next() is first
        kept = turns._turn
        assert kept is not None
        step_aside()
        assert turns._turn is kept
        turns.wait_for(second)
        step_aside()
        assert turns._turn is None
        turns.end()


def test_elsewhere_there_is_nothing_to_step_aside_from() -> None:
    """A thread that takes no turns may call it."""
    thread = threading.Thread(target=step_aside)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive()
