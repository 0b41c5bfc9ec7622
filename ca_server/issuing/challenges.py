"""Challenges: an SMS is asked for, and its code is answered (RFC 8555 §7.5.1, docs/reference/challenges.md)."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

from ca_server.audit import Decision, record
from ca_server.errors import Refusal, RefusalKind
from ca_server.issuing.authority import CertificateAuthority, Enter, new_name, not_found, require_owner, unhindered
from ca_server.issuing.limits import refuse_for, take_tokens
from ca_server.issuing.ordering import require_allowed
from ca_server.orders import (
    RESEND_WAITS,
    Account,
    Authorization,
    Challenge,
    ChallengeType,
    Delivery,
    Problem,
    SmsMessage,
    Status,
)
from ca_server.sms.gateway import OutgoingSms
from ca_server.storage import Ask, Code, QueuedSms
from ca_server.validation.message import message_texts
from ca_server.validation.sms_code import SmsCode
from ca_server.validation.sms_reply import SmsReply
from ca_server.validation.validator import ChallengeValidator
from policies.issuance import sms_buckets
from stir import key_authorization
from stir.errors import KeyAuthorizationError
from stir.telephone_number import TelephoneNumber

_VALIDATORS: dict[ChallengeType, ChallengeValidator] = {
    validator.type: validator for validator in (SmsCode(), SmsReply())
}
_DIGEST_LENGTH = 43
_WRONG = Problem(
    RefusalKind.INCORRECT_RESPONSE, "the digest answers no code that is good now; check the code and your account key"
)
_TOO_OFTEN = Problem(
    RefusalKind.INCORRECT_RESPONSE, "the code was wrong too often; make a new order to be sent another"
)
_TOO_LATE = Problem(
    RefusalKind.INCORRECT_RESPONSE, "the code has expired, and this attempt was not counted; ask for a new SMS"
)


def challenge(ca: CertificateAuthority, account: Account, challenge_id: str) -> tuple[Challenge, Authorization]:
    """Return a challenge and the authorization that it belongs to."""
    return _owned(account, challenge_id, ca.storage.authorizations.of_challenge(challenge_id))


def ask(
    ca: CertificateAuthority, account: Account, challenge_id: str, client_address: str, *, enter: Enter = unhindered
) -> tuple[Challenge, Authorization]:
    """Queue an SMS with a new code for the challenge's number, or refuse to, with the wait after which it is allowed.

    Once this returns, the SMS will be sent, whatever dies meanwhile. A challenge that is valid is returned as it is.
    """
    now = ca.clock()
    with ca.storage.transaction():
        enter()
        authorizations = ca.storage.authorizations
        found, authorization = _owned(account, challenge_id, authorizations.locked_of_challenge(challenge_id))
        if found.status is Status.VALID:
            return found, authorization
        _require_pending(authorization, now)
        number, country = require_allowed(ca, authorization.numbers)
        _require_turn(found, authorization, now)
        buckets = sms_buckets(ca.config.policy.sms, number, country, account.id, client_address)
        take_tokens(ca, buckets, "SMS were asked for", now)
        asked = _queue(ca, found, number, now, authorization.expires_at)
    if ca.doorbell is not None:
        ca.doorbell.ring()
    record(
        Decision.SMS_ASKED,
        number=number,
        account=account.id,
        challenge=challenge_id,
        type=found.type,
        client=client_address,
    )
    return asked, _with(authorization, asked)


def answer(
    ca: CertificateAuthority, account: Account, challenge_id: str, digest: str, *, enter: Enter = unhindered
) -> tuple[Challenge, Authorization]:
    """Take the client's digest, and return what became of the challenge.

    Right: valid. Wrong: one attempt less, and invalid with the last. With no code good any more, no digest can be
    right: the challenge says so, whatever the digest was, and counts no attempt. A challenge that is valid or invalid
    is returned as it is, so that a client whose answer got lost may repeat it. How far its SMS had come is told as it
    was before: what waits to be sent is called back once no code is good.
    """
    now = ca.clock()
    _require_digest(digest)
    with ca.storage.transaction():
        enter()
        authorizations = ca.storage.authorizations
        found, authorization = _owned(account, challenge_id, authorizations.locked_of_challenge(challenge_id))
        if found.status in {Status.VALID, Status.INVALID}:
            return found, authorization
        _require_pending(authorization, now)
        if found.status is Status.PENDING:
            raise Refusal(RefusalKind.MALFORMED, "no SMS was asked for yet; post {} to the challenge to be sent a code")
        judged = _judge(ca, account, found, authorization, digest, now)
    is_right = judged.status is Status.VALID
    record(
        Decision.NUMBER_VALIDATED if is_right else Decision.ANSWER_WRONG,
        number=authorization.numbers.single_number,
        account=account.id,
        challenge=challenge_id,
        attempts_remaining=judged.attempts_remaining,
    )
    proved = dataclasses.replace(authorization, expires_at=_proved_until(ca, now)) if is_right else authorization
    return judged, _with(proved, judged)


def _owned(account: Account, challenge_id: str, authorization: Authorization | None) -> tuple[Challenge, Authorization]:
    if authorization is None:
        not_found("challenge")
    require_owner(account, authorization.account_id)
    found = next(challenge for challenge in authorization.challenges if challenge.id == challenge_id)
    return found, authorization


def _with(authorization: Authorization, changed: Challenge) -> Authorization:
    """Return the authorization with a challenge of it as it is now; nobody else changed it, as it was locked."""
    challenges = (changed if one.id == changed.id else one for one in authorization.challenges)
    return dataclasses.replace(authorization, challenges=tuple(challenges))


def _require_pending(authorization: Authorization, now: datetime) -> None:
    status = authorization.status(now)
    if status is not Status.PENDING:
        detail = f"the challenge's authorization is {status}; make a new order"
        raise Refusal(RefusalKind.MALFORMED, detail)


def _require_turn(challenge: Challenge, authorization: Authorization, now: datetime) -> None:
    """Refuse an ask that comes too early, or one too many."""
    if not challenge.sends_remaining:
        refuse_for("no SMS is left for this challenge; make a new order later", authorization.expires_at - now)
    if challenge.next_send_at is not None and now < challenge.next_send_at:
        refuse_for("an SMS was asked for a moment ago; wait for it before asking again", challenge.next_send_at - now)


def _queue(
    ca: CertificateAuthority, challenge: Challenge, number: TelephoneNumber, now: datetime, end: datetime
) -> Challenge:
    """Draw a code, queue the SMS that carry it, and return the challenge as it is kept now."""
    policy = ca.config.policy
    code = Code(_VALIDATORS[challenge.type].new_code(policy, ca.random_bytes), policy.min_routes)
    expires_at = min(now + timedelta(seconds=policy.code_seconds), end)
    texts = message_texts(code.part1, code.routes, ca.config.authority.name, ca.config.host)
    number_of_ask = challenge.asks + 1
    wait = RESEND_WAITS[min(number_of_ask, len(RESEND_WAITS)) - 1]
    next_send_at = now + wait if challenge.sends_remaining > 1 else None
    ca.storage.authorizations.forget_expired_codes(now)
    ca.storage.authorizations.ask(
        Ask(
            challenge_id=challenge.id,
            number=number_of_ask,
            code=code,
            next_send_at=next_send_at,
            expires_at=expires_at,
        )
    )
    queued = [
        QueuedSms(OutgoingSms(new_name(ca), number, text, expires_at), challenge.id, number_of_ask, route)
        for route, text in enumerate(texts)
    ]
    ca.storage.sms.add(queued, now)
    return dataclasses.replace(
        challenge,
        asks=number_of_ask,
        sends_used=challenge.sends_used + 1,
        next_send_at=next_send_at,
        answerable_until=expires_at,
        error=None,
        messages=tuple(
            SmsMessage(one.sms.id, one.challenge_id, one.ask, one.route, Delivery.QUEUED, 0) for one in queued
        ),
    )


def _judge(
    ca: CertificateAuthority,
    account: Account,
    challenge: Challenge,
    authorization: Authorization,
    digest: str,
    now: datetime,
) -> Challenge:
    """Compare the digest with every code that is good now, note what came of it, and return the challenge as it is now.

    Of its messages it tells what it told before.
    """
    authorizations = ca.storage.authorizations
    codes = authorizations.codes(challenge.id, now)
    if not codes:
        authorizations.note(challenge.id, _TOO_LATE)
        return dataclasses.replace(challenge, error=_TOO_LATE)
    expected = ((code, key_authorization.digest(code.part1, challenge.token, account.thumbprint)) for code in codes)
    right = [code for code, one in expected if key_authorization.digest_matches(one, digest)]
    if right:
        validation = _VALIDATORS[challenge.type].method(right[0].routes)
        authorizations.right(challenge.id, now, validation)
        authorizations.extend(authorization.id, _proved_until(ca, now))
        authorizations.forget_codes(authorization.id)
        return dataclasses.replace(challenge, validated_at=now, validation=validation, error=None)
    is_last = challenge.attempts_remaining <= 1
    problem, failed_at = (_TOO_OFTEN, now) if is_last else (_WRONG, None)
    authorizations.wrong(challenge.id, problem, failed_at)
    if is_last:
        authorizations.forget_codes(authorization.id)
    return dataclasses.replace(challenge, attempts_used=challenge.attempts_used + 1, error=problem, failed_at=failed_at)


def _proved_until(ca: CertificateAuthority, now: datetime) -> datetime:
    return now + timedelta(hours=ca.config.policy.valid_authorization_hours)


def _require_digest(digest: str) -> None:
    """Refuse what is no digest, at the cost of no attempt."""
    try:
        key_authorization.digest_matches("A" * _DIGEST_LENGTH, digest)
    except KeyAuthorizationError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error
