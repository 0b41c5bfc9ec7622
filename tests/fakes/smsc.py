"""How the SMSCs of the tests behave. Each is a server that this project did not write, told to have these manners."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, Self

ARRIVES_WITHIN = 20.0


@dataclass(frozen=True, slots=True)
class Manners:
    """What SMSCs do differently from one another."""

    receipts: Literal["none", "after", "before"] = "after"
    """Whether the receipt comes, and before or after the response to the submission."""
    response_ids: Literal["decimal", "hex"] = "decimal"
    receipt_ids: Literal["decimal", "hex"] = "decimal"
    zeros: int = 0
    """How many leading zeros an id has in a receipt."""
    long_dates: bool = False
    """Dates of 12 digits, with seconds, instead of 10."""
    receipts_in_options: bool = False
    """The id and the state in optional parameters, with a text that says nothing."""
    receipt_copies: int = 1
    undeliverable: bool = False
    throttled: int = 0
    """How many submissions are refused as too many at first."""
    refusal: int = 0
    """The command status with which every submission is refused."""
    drops: int = 0
    """How many submissions are taken, at first, without an answer and with the connection cut."""
    silences: int = 0
    """How many submissions are taken, at first, without an answer."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that the SMSC took, as the SMSC understood it."""

    to: str
    sender: str
    text: str
    data_coding: int = 0
    source_ton: int = 0
    destination_ton: int = 0
    registered_delivery: int = 0


class Smsc(Protocol):
    """An SMSC under test control."""

    port: int

    def __enter__(self) -> Self:
        """Listen."""

    def __exit__(self, *_: object) -> None:
        """Stop."""

    @property
    def taken(self) -> list[Taken]:
        """The messages that it took, answered or not."""

    @property
    def refused(self) -> int:
        """How many submissions it refused."""

    @property
    def receipts_acknowledged(self) -> int:
        """How many receipts were acknowledged by the other side."""

    def cut(self) -> None:
        """Cut all connections without a word."""

    def text_in(self, text: str) -> bool:
        """Pass on a message from a phone, and tell whether the other side acknowledged it."""


def eventually(condition: Callable[[], bool], what: str, timeout: float = ARRIVES_WITHIN) -> None:
    """Wait until something that another program does has come true."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:g} seconds: {what}"
        time.sleep(0.005)
