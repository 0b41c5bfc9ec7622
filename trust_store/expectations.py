"""What a user expects of the trust store, a line for each expectation, and whether it holds.

    # We moved the bank's numbers to two authorities.
    +12025550123 by example-root for calls: verified
    +12025550123 by example-root for records in bank.example: refused by quorum
    +12025550123 by example-root and other-root for records in bank.example on 2026-06-01: verified
    +12025550123 by nobody for messages: unverified

Each is asked as a prospect: of a certificate that is made as well as it can be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from policies.facts import Use
from policies.terms import Purpose
from policies.verdicts import Outcome, Rule
from stir.errors import TelephoneNumberError
from stir.telephone_number import TelephoneNumber
from trust_store.errors import ExpectationError
from trust_store.prospect import prospect_by
from trust_store.store import Explanation, TrustStore

_NAME = r"[a-z0-9][a-z0-9._@-]{0,200}"
_LINE = re.compile(
    rf"(?P<number>\S+)\s+by\s+(?P<names>{_NAME}(?:\s+and\s+{_NAME})*)"
    r"\s+for\s+(?P<purpose>call|message|record)s"
    r"(?:\s+in\s+(?P<app>\S+?))?"
    r"(?:\s+on\s+(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}))?"
    r"\s*:\s*(?P<outcome>verified|unverified|refused)(?:\s+by\s+(?P<rule>[a-z-]+))?",
    re.ASCII,
)
_NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Expectation:
    """That a number, certified by anchors of these names, gets a verdict. `rule` is None where any will do."""

    line: int
    text: str
    number: TelephoneNumber
    names: tuple[str, ...]
    purpose: Purpose
    app: str | None
    day: date | None
    outcome: Outcome
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the store says to an expectation."""

    expectation: Expectation
    explanation: Explanation

    @property
    def holds(self) -> bool:
        """Whether it is what was expected."""
        verdict, expected = self.explanation.verdict, self.expectation
        return verdict.outcome is expected.outcome and expected.rule in {None, verdict.rule}


def read_expectations(text: str) -> tuple[Expectation, ...]:
    """Read a file of expectations. Raises ExpectationError, which names the line."""
    return tuple(_read_all(text))


def answer(store: TrustStore, expectation: Expectation, now: datetime) -> Answer:
    """Ask the store; as of noon of the expectation's day, or of now."""
    day = expectation.day
    at = now if day is None else datetime.combine(day, time(12), UTC)
    use = Use(expectation.number, at, expectation.purpose, expectation.app)
    return Answer(expectation, prospect_by(store, use, expectation.names))


def _read_all(text: str) -> Iterator[Expectation]:
    for line, written in enumerate(text.splitlines(), start=1):
        said = written.partition("#")[0].strip()
        if said:
            yield _read(said, line)


def _read(said: str, line: int) -> Expectation:
    match = _LINE.fullmatch(said)
    if match is None:
        msg = f"line {line}: write it as: +12025550123 by example-root for calls: verified"
        raise ExpectationError(msg)
    names = tuple(name for name in re.split(r"\s+and\s+", match["names"]) if name != _NOBODY)
    try:
        number = TelephoneNumber.parse(match["number"])
        day = None if match["day"] is None else date.fromisoformat(match["day"])
        rule = None if match["rule"] is None else Rule(match["rule"])
    except (TelephoneNumberError, ValueError) as error:
        msg = f"line {line}: {error}"
        raise ExpectationError(msg) from error
    purpose, outcome = Purpose(match["purpose"]), Outcome(match["outcome"])
    return Expectation(line, said, number, names, purpose, match["app"], day, outcome, rule)
