"""Numbers that changed hands: after a reported port or reassignment, earlier certificates are not believed.

Whoever held the number before may still hold a certificate for it. What was issued up to the change is refused, by its
notBefore, which an authority writes, and by the logs' timestamps, which it cannot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from policies.facts import CertificateFacts, LoggingFacts
from policies.verdicts import Finding, Rule, refused
from stir.telephone_number import TelephoneNumber


class TransitionKind(StrEnum):
    """How a number changed hands."""

    PORT = "port"
    """It moved to another carrier."""
    REASSIGNMENT = "reassignment"
    """It was given to somebody else."""


_IN_WORDS = {
    TransitionKind.PORT: "the number moved to another carrier",
    TransitionKind.REASSIGNMENT: "the number was given to somebody else",
}


@dataclass(frozen=True, slots=True)
class Transition:
    """That a number changed hands; what was issued before `until` is of the time before."""

    number: TelephoneNumber
    until: datetime
    kind: TransitionKind
    source: str


@dataclass(frozen=True, slots=True)
class Transitions:
    """The last known change of each number. Changes of one number may come in any order and from several places."""

    last: Mapping[str, Transition] = field(default_factory=dict)

    @classmethod
    def of(cls, transitions: Iterable[Transition]) -> Transitions:
        """Keep the last change of each number."""
        last: dict[str, Transition] = {}
        for one in transitions:
            known = last.get(one.number.digits)
            if known is None or known.until < one.until:
                last[one.number.digits] = one
        return cls(last)

    def judge(self, number: TelephoneNumber, leaf: CertificateFacts, logging: LoggingFacts) -> Finding:
        """Refuse a certificate of the time before the number changed hands."""
        transition = self.last.get(number.digits)
        if transition is None:
            return _NONE_KNOWN
        issued = min((leaf.not_before, *(one.at for one in logging.timestamps)))
        what = f"{_IN_WORDS[transition.kind]} by {transition.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        if issued < transition.until:
            reason = f"{what}, and the certificate was issued before, at {issued:%Y-%m-%d %H:%M} UTC"
            return refused(Rule.TRANSITION, reason, transition.source)
        return Finding(Rule.TRANSITION, f"{what}, and the certificate was issued since", source=transition.source)


_NONE_KNOWN = Finding(Rule.TRANSITION, "nobody reported that the number changed hands")
