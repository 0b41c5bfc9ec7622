"""Challenges: an SMS is asked for, and its code is answered (RFC 8555 §7.5.1, docs/reference/challenges.md)."""

from __future__ import annotations

from datetime import datetime, timedelta

from ca_server.audit import Decision, record
from ca_server.errors import Refusal, RefusalKind
from ca_server.issuing.authority import CertificateAuthority, Enter, new_name, not_found, require_owner, unhindered
from ca_server.issuing.limits import refuse_for, take_tokens
from ca_server.issuing.ordering import require_allowed
from ca_server.orders import RESEND_WAITS, Account, Authorization, Challenge, ChallengeType, Problem, Status
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
        _queue(ca, found, number, now, authorization.expires_at)
        asked = _owned(account, challenge_id, authorizations.get(authorization.id))
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
    return asked


def answer(
    ca: CertificateAuthority, account: Account, challenge_id: str, digest: str, *, enter: Enter = unhindered
) -> tuple[Challenge, Authorization]:
    """Take the client's digest, and return what became of the challenge.

    Right: valid. Wrong: one attempt less, and invalid with the last. With no code good any more, no digest can be
    right: the challenge says so, whatever the digest was, and counts no attempt. A challenge that is valid or invalid
    is returned as it is, so that a client whose answer got lost may repeat it.
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
        _judge(ca, account, found, authorization, digest, now)
        judged = _owned(account, challenge_id, authorizations.get(authorization.id))
    record(
        Decision.NUMBER_VALIDATED if judged[0].status is Status.VALID else Decision.ANSWER_WRONG,
        number=authorization.numbers.single_number,
        account=account.id,
        challenge=challenge_id,
        attempts_remaining=judged[0].attempts_remaining,
    )
    return judged


def _owned(account: Account, challenge_id: str, authorization: Authorization | None) -> tuple[Challenge, Authorization]:
    if authorization is None:
        not_found("challenge")
    require_owner(account, authorization.account_id)
    found = next(challenge for challenge in authorization.challenges if challenge.id == challenge_id)
    return found, authorization


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
) -> None:
    """Draw a code, and queue the SMS that carry it."""
    policy = ca.config.policy
    code = Code(_VALIDATORS[challenge.type].new_code(policy, ca.random_bytes), policy.min_routes)
    expires_at = min(now + timedelta(seconds=policy.code_seconds), end)
    texts = message_texts(code.part1, code.routes, ca.config.authority.name, ca.config.host)
    number_of_ask = challenge.asks + 1
    wait = RESEND_WAITS[min(number_of_ask, len(RESEND_WAITS)) - 1]
    ca.storage.authorizations.forget_expired_codes(now)
    ca.storage.authorizations.ask(
        Ask(
            challenge_id=challenge.id,
            number=number_of_ask,
            code=code,
            next_send_at=now + wait if challenge.sends_remaining > 1 else None,
            expires_at=expires_at,
        )
    )
    messages = (
        QueuedSms(OutgoingSms(new_name(ca), number, text, expires_at), challenge.id, number_of_ask, route)
        for route, text in enumerate(texts)
    )
    ca.storage.sms.add(messages, now)


def _judge(
    ca: CertificateAuthority,
    account: Account,
    challenge: Challenge,
    authorization: Authorization,
    digest: str,
    now: datetime,
) -> None:
    """Compare the digest with every code that is good now, and note what came of it."""
    authorizations = ca.storage.authorizations
    codes = authorizations.codes(challenge.id, now)
    if not codes:
        authorizations.note(challenge.id, _TOO_LATE)
        return
    expected = ((code, key_authorization.digest(code.part1, challenge.token, account.thumbprint)) for code in codes)
    right = [code for code, one in expected if key_authorization.digest_matches(one, digest)]
    if right:
        authorizations.right(challenge.id, now, _VALIDATORS[challenge.type].method(right[0].routes))
        hours = ca.config.policy.valid_authorization_hours
        authorizations.extend(authorization.id, now + timedelta(hours=hours))
        authorizations.forget_codes(authorization.id)
    elif challenge.attempts_remaining > 1:
        authorizations.wrong(challenge.id, _WRONG, None)
    else:
        authorizations.wrong(challenge.id, _TOO_OFTEN, now)
        authorizations.forget_codes(authorization.id)


def _require_digest(digest: str) -> None:
    """Refuse what is no digest, at the cost of no attempt."""
    try:
        key_authorization.digest_matches("A" * _DIGEST_LENGTH, digest)
    except KeyAuthorizationError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error
