"""Verdicts: what is said in the end, the rules by name and in order, and how their findings become one word.

Nothing here knows a certificate. `policies.belief` holds the rules themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn


class Outcome(StrEnum):
    """What is said of a call, a message or a record in the end."""

    VERIFIED = "verified"
    """An anchor of the user's leads to the number, and no rule forbids."""
    UNVERIFIED = "unverified"
    """Nothing is wrong, but no anchor of the user's leads to it: nobody whom the user believes vouches for it."""
    REFUSED = "refused"
    """A rule forbids to believe it."""


class Rule(StrEnum):
    """The rules by name, in the order in which they are asked."""

    DENIED_NUMBER = "denied-number"
    TOKEN = "token"  # noqa: S105  # the name of a rule
    KIND = "kind"
    CALLER = "caller"
    CALLED = "called"
    FRESHNESS = "freshness"
    MESSAGE_TEXT = "message-text"
    RECORD = "record"
    IN_FORCE = "in-force"
    CHAIN = "chain"
    CERTIFIED_NUMBER = "certified-number"
    SIGNATURE = "signature"
    DENIED_CERTIFICATE = "denied-certificate"
    ANCHOR = "anchor"
    LIST = "list"
    CLOCK = "clock"
    VALIDITY = "validity"
    PATH = "path"
    NUMBERS_COVERED = "numbers-covered"
    ANCHOR_NUMBERS = "anchor-numbers"
    PURPOSE = "purpose"
    METHOD = "method"
    LIFETIME = "lifetime"
    AUTHORITY_KEYS = "authority-keys"
    LOG_TIMESTAMPS = "log-timestamps"
    LOGGED = "logged"
    ISSUED_NOT_AFTER = "issued-not-after"
    TRANSITION = "transition"
    UNTIL = "until"
    INCLUDED = "included"
    REVOCATION = "revocation"
    QUORUM = "quorum"
    DUPLICATE = "duplicate"


QUESTIONS: Mapping[Rule, str] = {
    Rule.DENIED_NUMBER: "Is the number free of your denies?",
    Rule.TOKEN: "Is there a well-formed signed token?",
    Rule.KIND: "Is the token of the kind for this use?",
    Rule.CALLER: "Does the token name the number that the call came from?",
    Rule.CALLED: "Does the token name the number that was called?",
    Rule.FRESHNESS: "Was the token signed just now?",
    Rule.MESSAGE_TEXT: "Is the message the one that was signed?",
    Rule.RECORD: "Is the record of the number and the app that were asked about?",
    Rule.IN_FORCE: "Is the record in force: signed by now, and not expired?",
    Rule.CHAIN: "Are there well-formed certificates, each issued by the next?",
    Rule.CERTIFIED_NUMBER: "Is the first certificate for the number that is meant?",
    Rule.SIGNATURE: "Was the token signed with the key of that certificate?",
    Rule.DENIED_CERTIFICATE: "Are the certificates free of your denies?",
    Rule.ANCHOR: "Do the certificates lead to an anchor in your trust store?",
    Rule.LIST: "Is the curated list up to date without which you would not have this anchor?",
    Rule.CLOCK: "Does this device's clock agree with the certificates?",
    Rule.VALIDITY: "Is every certificate within its dates?",
    Rule.PATH: "Does the path obey X.509, with the limits that its authorities set?",
    Rule.NUMBERS_COVERED: "May every authority on the path speak for the number?",
    Rule.ANCHOR_NUMBERS: "Do you believe this anchor for the number?",
    Rule.PURPOSE: "Do you believe this anchor for such a use?",
    Rule.METHOD: "Was the number proved to the authority in a way that you accept?",
    Rule.LIFETIME: "Is the certificate's life as short as you ask for?",
    Rule.AUTHORITY_KEYS: "Are the authorities' keys of a kind that you accept?",
    Rule.LOG_TIMESTAMPS: "Is everything true that the certificate carries of logs that you know?",
    Rule.LOGGED: "Did as many logs as you ask for take the certificate, where the number's owner finds it?",
    Rule.ISSUED_NOT_AFTER: "Was the certificate issued while you still believe the anchor's work?",
    Rule.TRANSITION: "Was the certificate issued since the number last changed hands?",
    Rule.UNTIL: "Do you still believe the anchor today?",
    Rule.INCLUDED: "Is it proved, as far as you ask for it, that the logs show what they took?",
    Rule.REVOCATION: "Is no certificate of the path revoked?",
    Rule.QUORUM: "Did as many of your authorities certify this key as you ask for?",
    Rule.DUPLICATE: "Is it the first time that this message comes in?",
}
"""What each rule asks, in words for people; "yes" passes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of a call, by which rule, and where that stands.

    `reason` is a sentence for people that holds no whole number. `anchor` is the name of the user's anchor that leads
    to the call, None where none does; with a quorum, the first of several. `source` is the line that decided, such as
    `trust.toml:12`; None where no line of the user's did.
    """

    outcome: Outcome
    rule: Rule
    reason: str
    anchor: str | None = None
    source: str | None = None

    def __bool__(self) -> NoReturn:
        """Refuse: `if verdict:` would take unverified for true."""
        msg = "a verdict is neither true nor false: compare its outcome"
        raise TypeError(msg)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found. `outcome` is what the rule makes of the whole, None where it passes.

    `anchor` is told by the rule that finds it; those after it are about the path to that anchor. `warning` is what the
    user is to know though the rule passes: it stands with the verdict.
    """

    rule: Rule
    reason: str
    outcome: Outcome | None = None
    anchor: str | None = None
    source: str | None = None
    warning: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the next rule is to be asked."""
        return self.outcome is None


_ANCHOR, _QUORUM = Rule.ANCHOR, Rule.QUORUM  # looked up once: a class of enumerated values is slow to ask


def refused(rule: Rule, reason: str, source: str | None = None) -> Finding:
    """Return the finding of a rule that forbids to believe."""
    return Finding(rule, reason, Outcome.REFUSED, source=source)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings up to and with the first that does not pass; later rules are not asked."""
    found: list[Finding] = []
    for finding in findings:
        found.append(finding)
        if finding.outcome is not None:
            break
    return tuple(found)


def verdict(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict of the rules: that of the first that does not pass; later ones are not asked.

    Where all passed, the anchor decides or, where one was asked for, the quorum; its reason is followed by what rules
    warn of. Where no anchor was found, nobody vouches, and nothing is verified.
    """
    anchor: Finding | None = None
    ground: Finding | None = None
    warnings: list[str] = []
    for finding in findings:
        if finding.outcome is not None:
            name = None if anchor is None else anchor.anchor
            return Verdict(finding.outcome, finding.rule, finding.reason, name, finding.source)
        if finding.warning is not None:
            warnings.append(finding.warning)
        if finding.rule is _ANCHOR:
            anchor = ground = finding
        elif finding.rule is _QUORUM and finding.source is not None:
            ground = finding
    if anchor is None or ground is None:
        return Verdict(Outcome.UNVERIFIED, Rule.ANCHOR, "no anchor was found that vouches for this")
    reason = "; ".join((ground.reason, *warnings)) if warnings else ground.reason
    return Verdict(Outcome.VERIFIED, ground.rule, reason, anchor.anchor, ground.source)
