"""Ending the demo in good order: a signal takes effect between two steps of setting the stage, never within one."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Turns SIGINT and SIGTERM into SystemExit, once; `with` puts the former handlers back at the end.

    A process that was started and not yet noted by whoever ends it would be left running. So a signal that comes while
    `held` waits for its end.
    """

    def __init__(self) -> None:
        """Prepare; nothing is handled before `with`."""
        self._held = 0
        self._came: int | None = None
        self._former: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        """Handle the signals."""
        for number in _SIGNALS:
            self._former[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the signals to whoever handled them before."""
        for number, handler in self._former.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let no signal take effect before the end of the `with` block."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._came is not None:
            raise SystemExit(128 + self._came)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._came is not None:  # the demo is ending already
            return
        self._came = number
        if not self._held:
            raise SystemExit(128 + number)
