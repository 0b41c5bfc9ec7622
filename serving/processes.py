"""Processes of our own: one that tries something and tells, and several that live and end together."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from types import FrameType
from typing import NoReturn

from serving.errors import ServingError
from serving.log import facts

_log = logging.getLogger(__name__)

STEADY_SECONDS = 60.0
SHORTEST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
_LOOK_AGAIN_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1
_ENDING = (signal.SIGTERM, signal.SIGINT)
_WATCHED = (*_ENDING, signal.SIGHUP, signal.SIGCHLD)


@dataclass(frozen=True)
class Helper:
    """What a program does beside serving: `run` works until its event is set, and may raise a ServingError."""

    name: str
    run: Callable[[threading.Event], object]


def until_stopped(run: Callable[[threading.Event], object]) -> None:
    """Run something in this process, with an event that SIGTERM and SIGINT set. Call it in the main thread.

    The handlers only put something into a queue, and a thread sets the event. A handler runs between two steps of
    whoever waits for the event, and `set` would wait there for ever for the lock that its own thread holds: above all
    when the signal comes twice, from a terminal and from a supervisor. The signals are not blocked instead: what is run
    meanwhile, such as a gateway's own program, would inherit that, and never see them.
    """
    stop, process = threading.Event(), os.getpid()
    told: SimpleQueue[int | None] = SimpleQueue()

    def handle(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == process:
            told.put(number)
        else:  # a copy of this process: the signal is for that alone
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def listen() -> None:
        while told.get() is not None:
            stop.set()

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    former = {number: signal.signal(number, handle) for number in _ENDING}
    try:
        run(stop)
    finally:
        told.put(None)
        listener.join()
        for number, handler in former.items():
            signal.signal(number, handler)


def in_child(task: Callable[[], object]) -> None:
    """Run a task in a process of its own, and raise its error here, as a ServingError."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        try:
            task()
        except ServingError as error:
            said = str(error)
        except BaseException as error:  # noqa: BLE001  # nothing may run on in a copy of the parent
            said = f"the start failed with {type(error).__name__}, a fault of this program or of a part it was given"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        message = pipe.read().decode()
    os.waitpid(child, 0)
    if message:
        raise ServingError(message)


class Child:
    """A process that runs one function, whose result is its exit code. It is told to end when its parent dies."""

    def __init__(self, name: str, run: Callable[[], int]) -> None:
        """Remember what to run; the name is for the log."""
        self.name = name
        self._run = run
        self._pid = 0
        self._started_at = -STEADY_SECONDS
        self._pause = 0.0
        self.exit_code = 0

    @classmethod
    def helping(cls, helper: Helper, first: Callable[[], object] = lambda: None) -> Child:
        """Return the process of a helper; its errors are told in the log. `first` lets go of what it inherits."""

        def run() -> int:
            first()
            return _help(helper)

        return cls(helper.name, run)

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not been seen to end."""
        return self._pid != 0

    def start(self) -> None:
        """Fork. A child that ended soon after its last start waits before it works, longer each time."""
        now = time.monotonic()
        is_steady = now - self._started_at >= STEADY_SECONDS + self._pause
        self._pause = 0.0 if is_steady else min(LONGEST_PAUSE, max(SHORTEST_PAUSE, 2 * self._pause))
        self._started_at = now
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._live(parent)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is running."""
        if self._pid:
            os.kill(self._pid, number)

    def reap(self) -> None:
        """Note its end, if it has ended."""
        if not self._pid:
            return
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid:
            self._pid = 0
            self.exit_code = os.waitstatus_to_exitcode(status)

    def _live(self, parent: int) -> NoReturn:
        """Run, and never return into the copy of the parent."""
        code = 1
        try:
            for number in _WATCHED:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
            end_with(parent)
            time.sleep(self._pause)
            code = self._run()
        except Exception:  # noqa: BLE001  # the parent logs the exit code, and starts it again
            _log.exception("process_failed", extra=facts(process=self.name))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def supervise(leader: Child, followers: Sequence[Child], *, on_start: Callable[[], object]) -> int:
    """Run them all until SIGTERM or SIGINT, or until the leader ends; return the leader's exit code.

    A follower is started again whenever it ends. SIGHUP is the leader's. `on_start` is called once all run.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        for child in (leader, *followers):
            child.start()
        on_start()
        _watch(leader, followers)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
    return leader.exit_code


def _watch(leader: Child, followers: Sequence[Child]) -> None:
    children = (leader, *followers)
    stopping = False
    while any(child.is_running for child in children):
        told = signal.sigtimedwait(_WATCHED, _LOOK_AGAIN_SECONDS)  # another thread can take a SIGCHLD, and drop it
        received = None if told is None else told.si_signo
        if received == signal.SIGHUP:
            leader.send(signal.SIGHUP)
        for child in children:
            child.reap()
        if received in _ENDING or not leader.is_running:
            if not stopping and not leader.is_running and leader.exit_code:
                _log.error("leader_ended", extra=facts(process=leader.name, exit_code=leader.exit_code))
            stopping = True
            for child in children:
                child.send(signal.SIGTERM)
        elif not stopping:
            _start_again(followers)


def _start_again(followers: Sequence[Child]) -> None:
    for follower in followers:
        if not follower.is_running:
            _log.error("helper_ended", extra=facts(helper=follower.name, exit_code=follower.exit_code))
            follower.start()


def _help(helper: Helper) -> int:
    try:
        until_stopped(helper.run)
    except ServingError as error:
        _log.error("helper_failed", extra=facts(helper=helper.name, reason=str(error)))
        return 1
    return 0


def end_with(parent: int) -> None:
    """Ask the kernel to end this process when its parent dies; where it cannot (not Linux), the operator must."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
