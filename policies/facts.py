"""Plain facts about a call, its token and the certificates behind it: all that the rules of `policies.belief` see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from policies.terms import KeyType, Purpose, Terms
from stir.telephone_number import TelephoneNumber
from stir.tn_auth_list import TnAuthList
from stir.validation_method import ValidationMethod


class RevocationState(StrEnum):
    """What the revocation lists say of a certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of a call or message apart from its token: the numbers come from the signalling.

    `body` is the MIME body of the message that came in, None where it is not at hand.
    """

    orig: TelephoneNumber
    dest: TelephoneNumber
    at: datetime
    purpose: Purpose
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """What certificates are asked for: which number, when, and for what.

    `purpose` is None where no use is meant, `app` where it is in no app that has a name.
    """

    number: TelephoneNumber
    at: datetime
    purpose: Purpose | None = None
    app: str | None = None


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate of a path. `numbers` is None where it may speak for all.

    `fingerprints` are all names that a deny may have for it; see `trust_store.fingerprints`.
    """

    title: str
    not_before: datetime
    not_after: datetime
    numbers: TnAuthList | None
    fingerprints: frozenset[str] = frozenset()
    key: KeyType = KeyType.P256


@dataclass(frozen=True, slots=True)
class TimestampFacts:
    """That a log, which the user knows by the name `log`, took the certificate `at` a time; all of it was checked."""

    log: str
    operator: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LieFacts:
    """What no honest log and no honest authority puts into a certificate, in a sentence.

    `source` is where the log stands that it is said to be of, None where that cannot be told.
    """

    reason: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class LoggingFacts:
    """What a certificate carries of the logs that the user knows, and how many timestamps of others.

    With a `lie`, the first that was found, it does not matter what else there is.
    """

    timestamps: tuple[TimestampFacts, ...] = ()
    lie: LieFacts | None = None
    strangers: int = 0


@dataclass(frozen=True, slots=True)
class ProofFacts:
    """What is known of a proof that came with a call, that a log shows the certificate's entry.

    `log` and `operator` say whose it is, and `witnesses` the operators of the user's witnesses that cosigned. `fault`
    is why it proves nothing.
    """

    log: str = ""
    operator: str = ""
    witnesses: frozenset[str] = frozenset()
    fault: str | None = None


_NOTHING_OF_LOGS = LoggingFacts()


@dataclass(frozen=True, slots=True)
class PathFacts:
    """A path from a number's certificate up to an anchor: that one first, the anchor last.

    `methods` are the ways in which the number was proved, as far as every authority between lets them stand (RFC 5280
    §6.1.3 (d)). `fault` is what the X.509 verifier has against the path, None where it accepts it. `logging` is about
    the number's certificate.
    """

    certificates: tuple[CertificateFacts, ...]
    terms: Terms
    methods: tuple[ValidationMethod, ...] = ()
    fault: str | None = None
    logging: LoggingFacts = _NOTHING_OF_LOGS


@dataclass(frozen=True, slots=True)
class RevocationFacts:
    """What the revocation lists say of one certificate of a path, in a word and in a sentence.

    `as_of` is when the list was signed that does not name a good one.
    """

    state: RevocationState
    reason: str
    as_of: datetime | None = None
