"""An enrolment that is killed at any step, by a real SIGKILL, and run again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from acme_client.keys import same_key
from acme_client.store import State
from tests.fakes.enrolment_world import NUMBER, EnrolmentWorld, issuer_at
from tests.fakes.patient_clock import PatientClock

_MOST_EVENTS = 200


class Reaper:
    """Counts the moments at which something outside the process has changed or is about to, and kills at one."""

    def __init__(self, at: int) -> None:
        """Kill at this moment."""
        self._left = at

    def __call__(self, *_: object) -> None:
        """Let a moment pass."""
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function with a moment before and one after."""

        def watched(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401  # any function
            self()
            result = function(*arguments, **named)
            self()
            return result

        return watched


def killed_at(moment: int, folder: Path, build: Callable[[Path], EnrolmentWorld], *, force: bool) -> bool:
    """Enrol in a process of its own that is killed at a moment; tell whether it was, for it may end before."""
    child = os.fork()
    if child == 0:
        try:
            reap = Reaper(moment)
            world = build(folder)
            deliver = world.adapter.after

            def answered(response: requests.Response) -> None:
                deliver(response)
                reap()

            world.adapter.before, world.adapter.after = reap, answered
            Path.replace = reap.around(Path.replace)  # type: ignore[method-assign]  # this process ends soon
            Path.unlink = reap.around(Path.unlink)  # type: ignore[method-assign]  # as above
            world.enrolled(force=force)
        except BaseException:  # noqa: BLE001  # a child that returned would run the rest of the tests
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the enrolment failed"
    return os.WIFSIGNALED(status)


@pytest.fixture
def build() -> Callable[[Path], EnrolmentWorld]:
    """Return a function that builds the same authority over and over."""
    hand = PatientClock()
    issuer = issuer_at("https://ca.example", hand.now())
    return lambda folder: EnrolmentWorld(folder, hand=PatientClock(hand.time), issuer=issuer)


def test_an_enrolment_that_is_killed_anywhere_is_finished_by_the_next(
    tmp_path: Path, build: Callable[[Path], EnrolmentWorld]
) -> None:
    """Whenever the process dies, the next one needs no second account, order or message."""
    for moment in range(_MOST_EVENTS):
        folder = tmp_path / str(moment)
        folder.mkdir()
        killed = killed_at(moment, folder, build, force=False)
        world = build(folder)
        held = world.enrolled()
        counts = {table: world.count(table) for table in ("accounts", "orders", "messages", "certificates")}
        world.close()
        assert set(counts.values()) == {1}, f"killed at moment {moment}: {counts}"
        assert world.store.certificates() == [held]
        assert world.store.pending(world.address, NUMBER) is None
        assert not list(folder.rglob("*.new")), f"killed at moment {moment}: half-written files stay"
        if not killed:
            assert moment > len(world.steps)
            return
    pytest.fail("the enrolment has more moments than it can have")


def test_a_renewal_that_is_killed_anywhere_leaves_a_good_certificate(
    tmp_path: Path, build: Callable[[Path], EnrolmentWorld]
) -> None:
    """Whenever a renewal dies, a certificate with its key is held, and the next renewal needs no message."""
    for moment in range(_MOST_EVENTS):
        folder = tmp_path / str(moment)
        folder.mkdir()
        world = build(folder)
        former = world.enrolled()
        world.close()
        killed = killed_at(moment, folder, build, force=True)
        world = build(folder)
        (held,) = world.store.certificates()
        assert held.state(world.hand.now()) is State.GOOD
        assert same_key(held.key(), held.chain()[0].public_key())
        renewed = world.enrolled(force=True)
        assert renewed.fingerprint != former.fingerprint
        assert world.count("messages") == 1
        world.close()
        if not killed:
            return
    pytest.fail("the renewal has more moments than it can have")
