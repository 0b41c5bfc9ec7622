"""The SMS challenges `sms-code-00` and `sms-reply-00`: asked for, looked at and answered.

A `POST {}` asks for the message, and again for another; a `POST {"digest": …}` answers. The whole of it stands in
docs/reference/challenges.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from acme import challenges, messages
from josepy.json_util import field

from acme_client.errors import Misbehaved, NotProved
from acme_client.network import AcmeSession, plain
from stir import key_authorization


class ChallengeKind(StrEnum):
    """How the number is proved: by a short code that a person types, or a long one that a program reads."""

    SMS_CODE = "sms-code"
    SMS_REPLY = "sms-reply"

    @property
    def type(self) -> str:
        """The challenge's type on the wire."""
        return f"{self.value}-00"


class Delivery(StrEnum):
    """How far the message has come, as far as the authority knows."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"


class SmsChallenge(challenges.Challenge):
    """The fields of an SMS challenge as they came: `acme` keeps of a challenge only what its type names."""

    token: Any = field("token", omitempty=True, default=None)
    sender: Any = field("from", omitempty=True, default=None)
    host: Any = field("host", omitempty=True, default=None)
    code_length: Any = field("codeLength", omitempty=True, default=None)
    attempts_remaining: Any = field("attemptsRemaining", omitempty=True, default=None)
    sends_remaining: Any = field("sendsRemaining", omitempty=True, default=None)
    next_send: Any = field("nextSend", omitempty=True, default=None)
    expires: Any = field("expires", omitempty=True, default=None)
    delivery: Any = field("delivery", omitempty=True, default=None)


@challenges.Challenge.register
class SmsCode(SmsChallenge):
    """`sms-code-00`: the message carries a decimal code."""

    typ = "sms-code-00"


@challenges.Challenge.register
class SmsReply(SmsChallenge):
    """`sms-reply-00`: the message carries 22 base64url characters."""

    typ = "sms-reply-00"


class SmsResponse(challenges.ChallengeResponse):
    """The answer; without a digest it asks for the message.

    `acme` sends an object without any field as an empty payload, which would be a POST-as-GET: the field that is left
    out keeps it a `{}`.
    """

    typ = "sms"
    digest: str | None = field("digest", omitempty=True, default=None)


class _Fields(msgspec.Struct):
    """What the fields must be, where they are there."""

    token: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{22}\\Z")]
    sender: str | tuple[str, ...] | None
    host: str | None
    code_length: (
        Annotated[int, msgspec.Meta(ge=key_authorization.SHORTEST_CODE, le=key_authorization.LONGEST_CODE)] | None
    )
    attempts_remaining: int | None
    sends_remaining: int | None
    next_send: Annotated[datetime, msgspec.Meta(tz=True)] | None
    expires: Annotated[datetime, msgspec.Meta(tz=True)] | None
    delivery: str | None


@dataclass(frozen=True, slots=True)
class SmsState:
    """How far an SMS challenge has come. Times are in this machine's clock; None is what the authority does not say.

    `senders` are the addresses that the phone will show, `host` the name that the message's last line binds the code
    to, and `error` the authority's words on the last wrong answer.
    """

    body: messages.ChallengeBody
    token: str
    status: str
    senders: tuple[str, ...]
    host: str | None
    code_length: int | None
    attempts_remaining: int | None
    sends_remaining: int | None
    next_send: datetime | None
    expires: datetime | None
    delivery: Delivery | None
    error: str | None


def fetch(session: AcmeSession, url: str) -> messages.Authorization:
    """Return an authorization (RFC 8555 §7.5)."""
    return session.decode(messages.Authorization, session.post(url))


def choose(session: AcmeSession, authorization: messages.Authorization, kind: ChallengeKind) -> SmsState:
    """Return the authorization's challenge of one kind; raise NotProved where it is not offered."""
    offered = [body for body in authorization.challenges or () if isinstance(body.chall, SmsChallenge)]
    for body in offered:
        if body.chall.typ == kind.type:
            return state_of(session, body)
    names = ", ".join(sorted(str(body.chall.typ).removesuffix("-00") for body in offered)) or "no challenge by SMS"
    msg = f"{session.address.name} does not offer {kind}; it offers {names}"
    raise NotProved(msg)


def ask(session: AcmeSession, state: SmsState) -> SmsState:
    """Ask for the message, or for another one; raise RateLimited where that must wait."""
    return _sent(session, state, SmsResponse())


def answer(session: AcmeSession, state: SmsState, part1: str) -> SmsState:
    """Answer with what came by SMS, in the form that `codes.read_code` leaves it in."""
    digest = key_authorization.digest(part1, state.token, session.thumbprint)
    return _sent(session, state, SmsResponse(digest=digest))


def look(session: AcmeSession, state: SmsState) -> SmsState:
    """Return the challenge as it is now."""
    response = session.post(state.body.uri)
    return state_of(session, session.decode(messages.ChallengeBody, response))


def state_of(session: AcmeSession, body: messages.ChallengeBody) -> SmsState:
    """Read a challenge; raise Misbehaved where its fields are not what they must be."""
    challenge = body.chall
    try:
        fields = msgspec.convert(dict(challenge), _Fields)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        msg = f"{session.address.name} gave a challenge that cannot be read: {plain(error)}"
        raise Misbehaved(msg) from error
    sender = fields.sender or ()
    return SmsState(
        body=body,
        token=fields.token,
        status=str(body.status.name),
        senders=tuple(plain(name) for name in (sender.split(",") if isinstance(sender, str) else sender)),
        host=fields.host,
        code_length=fields.code_length if challenge.typ == ChallengeKind.SMS_CODE.type else None,
        attempts_remaining=fields.attempts_remaining,
        sends_remaining=fields.sends_remaining,
        next_send=None if fields.next_send is None else session.local_time(fields.next_send),
        expires=None if fields.expires is None else session.local_time(fields.expires),
        delivery=Delivery(fields.delivery) if fields.delivery in set(Delivery) else None,
        error=None if body.error is None else plain(body.error.detail or body.error.title or body.error.typ),
    )


def _sent(session: AcmeSession, state: SmsState, response: SmsResponse) -> SmsState:
    with session.calling():
        body = session.client.answer_challenge(state.body, response).body
    return state_of(session, body)
