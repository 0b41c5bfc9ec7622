"""Proving a number: the message is asked for, the code is asked for, the answer is given, until it is right."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from acme import messages

from acme_client import challenges
from acme_client.challenges import ChallengeKind, Delivery, SmsState
from acme_client.codes import CodePrompt, CodeSource, Notice, Resend, read_code, same_host
from acme_client.errors import CodeNotGiven, Misbehaved, NotProved, RateLimited, TookTooLong, UnusableCode
from acme_client.network import AcmeSession
from acme_client.polling import Patience
from acme_client.progress import Progress, Step, Watcher
from stir.telephone_number import TelephoneNumber

_MOST_PROMPTS = 50
"""So often may a source give nothing usable: a program that never will must not go on for ever."""
_SENDING_PATIENCE = timedelta(seconds=3)
"""So long is a queued message waited for, where the source wants to know before it asks for the code."""
_LONGEST_RESEND_WAIT = timedelta(minutes=15)


@dataclass(slots=True)
class Proof:
    """One number to be proved to one authority. `patience` is how long the authority may take over an answer.

    Without a `source` no message is asked for: it would be sent for nothing.
    """

    session: AcmeSession
    number: TelephoneNumber
    kind: ChallengeKind
    source: CodeSource | None
    watch: Watcher
    patience: timedelta
    _state: SmsState = field(init=False)

    def give(self, authorization_url: str) -> None:
        """Prove the number for this authorization; do nothing where it is proved already.

        A message that is still good is not asked for again. Raises NotProved where no tries or messages are left,
        CodeNotGiven or SmsNotDelivered where the source gives up, RateLimited where no message may be sent yet.
        """
        authorization = challenges.fetch(self.session, authorization_url)
        standing = _status(authorization)
        if standing == "valid":
            return
        if standing != "pending":
            msg = f"{self._name} has closed the proof of {self.number.masked} ({standing}): start again"
            raise NotProved(msg)
        if self.source is None:
            msg = f"{self._name} asks for a proof of {self.number.masked} by SMS, and nobody is here to give the code"
            raise CodeNotGiven(msg)
        self._state = challenges.choose(self.session, authorization, self.kind)
        self._require_own_host()
        notice = Notice.AGAIN
        if self._needs_message():
            self._ask()
            notice = Notice.FIRST
        self._answer_until_right(self.source, notice)

    @property
    def _name(self) -> str:
        return self.session.address.name

    def _answer_until_right(self, source: CodeSource, notice: Notice) -> None:
        detail = ""
        for _ in range(_MOST_PROMPTS):
            given = source.code(self._prompt(notice, detail))
            if isinstance(given, Resend):
                notice, detail = self._resend()
                continue
            if not given.strip():
                self._state = challenges.look(self.session, self._state)
                notice, detail = Notice.AGAIN, ""
                self._require_open()
                continue
            try:
                part1 = read_code(given, self._prompt(notice, detail))
            except UnusableCode as unusable:
                notice, detail = Notice.UNUSABLE, str(unusable)
                continue
            if self._expired():
                notice, detail = Notice.EXPIRED, "the code has expired; ask for another message"
                continue
            if self._answer(part1):
                return
            notice, detail = Notice.WRONG, "that code is not right"
        msg = "the source of codes gave nothing usable; run the command again to go on from here"
        raise CodeNotGiven(msg)

    def _answer(self, part1: str) -> bool:
        """Answer, and tell whether that was right; raise NotProved where it was wrong for the last time."""
        self._report(Step.ANSWERING, f"answering {self._name}")
        before = self._state
        self._state = challenges.answer(self.session, before, part1)
        patience = self._patience(self.patience)
        while not _judged(before, self._state):
            patience.wait(self.session.headers, "the answer")
            self._state = challenges.look(self.session, self._state)
        self._require_open()
        return self._state.status == "valid"

    def _resend(self) -> tuple[Notice, str]:
        """Ask for another message, and say what came of it."""
        if self._state.sends_remaining == 0:
            return Notice.NOT_RESENT, f"{self._name} sends no more messages for this proof"
        try:
            self._ask()
        except RateLimited as refused:
            return Notice.NOT_RESENT, str(refused)
        return Notice.RESENT, "another message is on its way; tries are not given back"

    def _ask(self) -> None:
        """Have the message sent, when the authority is ready to."""
        now = self.session.clock.now()
        wait = timedelta(0) if self._state.next_send is None else self._state.next_send - now
        if self._state.status != "pending" and wait > timedelta(0):
            self._wait_for_resend(wait)
        self._report(Step.ASKING, f"asking {self._name} for a message to {self.number.masked}")
        self._state = challenges.ask(self.session, self._state)
        self._require_own_host()
        self._require_open()

    def _wait_for_resend(self, wait: timedelta) -> None:
        if wait > _LONGEST_RESEND_WAIT:
            msg = f"{self._name} sends no other message yet"
            raise RateLimited(msg, kind="rateLimited", retry_at=self._state.next_send)
        self._report(Step.WAITING_TO_RESEND, f"{self._name} sends another message only later", wait)
        self.session.clock.sleep(wait.total_seconds())

    def _when_sent(self, prompt: CodePrompt) -> CodePrompt:
        """Wait a little for a queued message to leave, so that a failure is known before a person waits for it."""
        patience = self._patience(_SENDING_PATIENCE)
        try:
            while self._state.delivery is Delivery.QUEUED:
                self._report(Step.SENDING, f"{self._name} is sending the message")
                patience.wait(self.session.headers, "the message")
                self._state = challenges.look(self.session, self._state)
        except TookTooLong:
            return prompt
        self._require_open()
        return self._prompt(prompt.notice, prompt.detail)

    def _needs_message(self) -> bool:
        """Tell whether there is no code on its way that could still be answered with."""
        if self._state.status == "pending":
            return True
        self._require_open()
        sendable = self._state.sends_remaining != 0
        return sendable and (self._expired() or self._state.delivery is Delivery.FAILED)

    def _require_open(self) -> None:
        if self._state.status not in {"invalid", "pending", "processing", "valid"}:
            msg = f"{self._name} gave a challenge in an unknown state"
            raise Misbehaved(msg)
        if self._state.status == "invalid":
            said = self._state.error or "no tries are left"
            msg = f"{self._name} no longer takes a code for {self.number.masked}: {said}; start again later"
            raise NotProved(msg)

    def _require_own_host(self) -> None:
        """Refuse to pass on codes that are bound to another host than the one we talk to: that would be phishing."""
        own = self.session.address.host
        if self._state.host is not None and not same_host(self._state.host, own):
            msg = (
                f"{self._name} asks for codes that are bound to another host. Use the address by which the authority "
                "knows itself; if you did, somebody may be using this enrolment to get a certificate elsewhere"
            )
            raise Misbehaved(msg)

    def _expired(self) -> bool:
        return self._state.expires is not None and self.session.clock.now() >= self._state.expires

    def _patience(self, lasts: timedelta) -> Patience:
        return Patience(self.session.clock, self.session.clock.now() + lasts)

    def _report(self, step: Step, text: str, wait: timedelta | None = None) -> None:
        self.watch(Progress(step, self._name, text, wait))

    def _prompt(self, notice: Notice, detail: str) -> CodePrompt:
        state = self._state
        return CodePrompt(
            number=self.number,
            authority=self._name,
            host=self.session.address.host,
            senders=state.senders,
            digits=state.code_length,
            reply=self.kind is ChallengeKind.SMS_REPLY,
            attempts_remaining=state.attempts_remaining,
            sends_remaining=state.sends_remaining,
            resend_at=state.next_send,
            expires_at=state.expires,
            delivery=None if state.delivery is None else state.delivery.value,
            notice=notice,
            detail=detail,
            refresh=self._refreshed,
            when_sent=self._when_sent,
        )

    def _refreshed(self) -> CodePrompt:
        self._state = challenges.look(self.session, self._state)
        return self._prompt(Notice.AGAIN, "")


def _judged(before: SmsState, after: SmsState) -> bool:
    """Tell whether the authority has made up its mind on an answer; one that checks later says so by `processing`."""
    if after.status != "processing":
        return True
    if before.attempts_remaining is not None and after.attempts_remaining is not None:
        return after.attempts_remaining < before.attempts_remaining
    return after.error is not None


def _status(authorization: messages.Authorization) -> str:
    return "unknown" if authorization.status is None else str(authorization.status.name)
