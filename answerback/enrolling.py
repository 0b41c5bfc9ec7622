"""Enrolling at a terminal: the prompt for the code, the line that shows progress, and errors in one line."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acme_client.addresses import AuthorityAddress
from acme_client.codes import RESEND, CodePrompt, CodeSource, CommandCodes, FileCodes, Notice, Resend
from acme_client.errors import AcmeClientError, CodeNotGiven, NotHeld, RateLimited, TermsNotAgreed
from acme_client.progress import Progress
from acme_client.store import EnrolledCertificate
from answerback.failure import Failure
from stir.errors import StirError
from stir.telephone_number import TelephoneNumber

if TYPE_CHECKING:
    from rich.status import Status

_DELIVERY = {
    "queued": "The message is waiting to be sent.",
    "sent": "The message was sent.",
    "delivered": "The message was delivered to the phone.",
    "failed": "The message was NOT delivered: check that the phone is on and takes SMS, then have it sent again.",
}


class Steps:
    """Shows on standard error what is being done: a line that moves on a terminal, otherwise a line for each step."""

    def __init__(self, *, silent: bool = False) -> None:
        """Show nothing where `silent`."""
        self._silent = silent
        self._status: Status | None = None

    def __call__(self, progress: Progress) -> None:
        """Show a step."""
        if self._silent:
            return
        wait = f" ({progress.wait.total_seconds():.0f} s)" if progress.wait else ""
        text = f"{progress.text}{wait}"
        if not sys.stderr.isatty():
            click.echo(text, err=True)
        elif self._status is None:
            self._status = _moving_line(text)
            self._status.start()
        else:
            self._status.update(_escaped(text))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to somebody else for a while."""
        self.close()
        yield

    def close(self) -> None:
        """Take the moving line away; the next step brings it back."""
        if self._status is not None:
            self._status.stop()
            self._status = None


@dataclass(frozen=True, slots=True)
class PromptCodes:
    """Codes typed by a person at the terminal. A pasted message will do, and `r` has another one sent."""

    steps: Steps

    def code(self, prompt: CodePrompt) -> str | Resend:
        """Ask on standard error."""
        prompt = prompt.when_sent(prompt)
        with self.steps.paused():
            for line in _news(prompt):
                click.echo(line, err=True)
            while True:
                text = _asked(_question(prompt))
                if text.lower() not in {"r", "resend"}:
                    return text
                refusal = _why_not_resend(prompt)
                if refusal is None:
                    return RESEND
                click.echo(refusal, err=True)


@dataclass(frozen=True, slots=True)
class AskTerms:
    """Asks a person whether an authority's terms are agreed to, unless they were on the command line."""

    steps: Steps
    agreed: bool

    def __call__(self, url: str) -> bool:
        """Ask on standard error; nobody there to answer means no."""
        if self.agreed:
            return True
        with self.steps.paused():
            try:
                return click.confirm(f"Terms of service: {url}\nDo you agree to them?", err=True)
            except click.Abort:
                return False


def require_yes(question: str, otherwise: str) -> None:
    """Ask a person for what cannot be undone; whoever does not say yes, or is not there to answer, fails by that."""
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        agreed = False
    if not agreed:
        msg = f"{otherwise}; where nobody can answer, give --yes"
        raise Failure(msg)


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """Turn the errors of the rooms below into one line that says what to do."""
    try:
        yield
    except (AcmeClientError, StirError) as error:
        raise Failure(explain(error)) from error


def explain(error: AcmeClientError | StirError) -> str:
    """Return an error as one line that says what to do."""
    match error:
        case RateLimited(retry_at=datetime() as retry_at):
            return f"{error}; try again after {_local(retry_at)}"
        case RateLimited():
            return f"{error}; try again later"
        case TermsNotAgreed(url=url):
            return f"the authority asks for agreement to its terms of service: read {url}, then add --agree-terms"
        case _:
            return str(error)


def code_source(command: str | None, file: Path | None, steps: Steps) -> CodeSource:
    """Return where the codes come from: a command, a file, or else the person at the terminal."""
    if command is not None and file is not None:
        msg = "take the code from --code-command or from --code-file, not from both"
        raise Failure(msg)
    if command is not None:
        arguments = _words(command)
        if not arguments:
            msg = "--code-command names no command"
            raise Failure(msg)
        return CommandCodes(arguments)
    return FileCodes(file) if file is not None else PromptCodes(steps)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        msg = "--code-command has a quotation mark that is never closed"
        raise Failure(msg) from error


def chosen(
    held: list[EnrolledCertificate], number: str | None, ca: str | None, *, insecure_http: bool = True
) -> list[EnrolledCertificate]:
    """Return the certificates for a number and from an authority, either of them any; raise NotHeld where none is."""
    wanted = TelephoneNumber.parse(number) if number else None
    address = AuthorityAddress.parse(ca, insecure_http=insecure_http) if ca else None
    found = [
        one
        for one in held
        if (wanted is None or one.number == wanted) and (address is None or one.ca == address.index_url)
    ]
    if not found and (wanted or address):
        msg = "no such certificate is held here: see answerback certificates"
        raise NotHeld(msg)
    return found


def described(held: EnrolledCertificate) -> dict[str, object]:
    """Return a certificate as the data of `--json`."""
    return {
        "number": held.number.e164,
        "authority": held.ca,
        "state": held.state(datetime.now(UTC)).value,
        "not_before": held.not_before.isoformat(),
        "not_after": held.not_after.isoformat(),
        "renew_after": held.due_at.isoformat(),
        "validation": list(held.validation),
        "serial": held.serial,
        "sha256": held.fingerprint,
        "chain": str(held.chain_path),
        "key": str(held.key_path),
    }


def authority_name(index_url: str) -> str:
    """Return the short name of an authority: its host and port."""
    return AuthorityAddress(index_url).name


def _news(prompt: CodePrompt) -> Iterator[str]:
    """Say what has happened since the person last looked."""
    if prompt.notice is Notice.FIRST:
        senders = f" from {', '.join(prompt.senders)}" if prompt.senders else ""
        yield f"{prompt.authority} sends an SMS to {prompt.number.masked}{senders}."
        yield f"Its last line begins with @{prompt.host}: type no code from a message that ends otherwise."
    elif prompt.detail:
        yield f"{prompt.detail[:1].upper()}{prompt.detail[1:].rstrip('.')}."
    if prompt.delivery in _DELIVERY and (prompt.undelivered or prompt.notice in {Notice.FIRST, Notice.AGAIN}):
        yield _DELIVERY[prompt.delivery]


def _question(prompt: CodePrompt) -> str:
    what = "Code of 22 characters" if prompt.reply else f"Code{f' of {prompt.digits} digits' if prompt.digits else ''}"
    tries = "" if prompt.attempts_remaining is None else f"{_counted(prompt.attempts_remaining)} left; "
    return f"{what} ({tries}{_resend_hint(prompt)}Enter looks again)"


def _counted(tries: int) -> str:
    return "1 try" if tries == 1 else f"{tries} tries"


def _resend_hint(prompt: CodePrompt) -> str:
    if not prompt.may_resend:
        return ""
    if prompt.resend_at is None or prompt.resend_at <= datetime.now(UTC):
        return "r sends it again; "
    return f"r sends it again from {_local(prompt.resend_at)}; "


def _why_not_resend(prompt: CodePrompt) -> str | None:
    """Say why no other message can be sent now; None where it can."""
    if not prompt.may_resend:
        return f"{prompt.authority} sends no more messages for this proof."
    if prompt.resend_at is not None and prompt.resend_at > datetime.now(UTC):
        return f"Another message can be sent from {_local(prompt.resend_at)}; the first may still come."
    return None


def _asked(question: str) -> str:
    try:
        return str(click.prompt(question, default="", show_default=False, err=True)).strip()
    except click.Abort:
        if sys.stdin.isatty():
            raise
        msg = (
            "there is nobody to ask for the code: run this at a terminal, or add --code-command or --code-file; "
            "the order is kept"
        )
        raise CodeNotGiven(msg) from None


def _local(moment: datetime) -> str:
    local = moment.astimezone()
    today = datetime.now(UTC).astimezone().date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M}"


def _moving_line(text: str) -> Status:
    from rich.console import Console  # only a terminal is worth the time that this import takes

    return Console(stderr=True).status(_escaped(text))


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
