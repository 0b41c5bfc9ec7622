"""Verdicts at a terminal: what was given, what is said of it in plain words, and with which exit code."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from cryptography import x509

from answerback.failure import Failure
from answerback.output import emit
from number_directory.errors import DirectoryError
from number_directory.record import SignedRecord
from policies.terms import Purpose
from policies.verdicts import QUESTIONS, Finding, Outcome, Rule, Verdict
from stir.certificate import load_certificate
from stir.certificate_chain import read_pem_chain
from stir.errors import PassportError, StirError
from stir.identity_header import token_of
from stir.passport import SignedPassport
from stir.telephone_number import TelephoneNumber
from trust_store import Call, DirectoryRecord, Evidence, Explanation, TrustStore, TrustStoreError
from trust_store.fetching import fetch

EXIT_CODES = {Outcome.VERIFIED: 0, Outcome.UNVERIFIED: 3, Outcome.REFUSED: 4}
"""What `call verify`, `trust test` and `trust explain` exit with; 1 and 2 mean that nothing was judged."""

EXIT_CODES_HELP = "Exit codes: 0 verified, 3 unverified, 4 refused; with 1 and 2, nothing was judged."

_COLOURS = {Outcome.VERIFIED: "green", Outcome.UNVERIFIED: "yellow", Outcome.REFUSED: "red"}
_LARGEST_INPUT = 1024 * 1024
_PEM = b"-----BEGIN CERTIFICATE-----"
_DER_SEQUENCE = b"\x30"
_DOTS = 2
"""In a token, at least: an Identity header has more."""
_HEADER_SIGNS = frozenset(":;")
_BETWEEN = "~"
"""In a record, behind what is signed (RFC 9901 §4); in no PASSporT."""

Chain = tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known beside a token; the numbers are None where they were not given."""

    orig: TelephoneNumber | None
    dest: TelephoneNumber | None
    at: datetime
    purpose: Purpose
    body: bytes | None = None
    chains: tuple[Chain, ...] = ()
    proofs: tuple[bytes, ...] = ()
    app: str | None = None

    @classmethod
    def given(cls, options: dict[str, Any]) -> Circumstances:
        """Read the options of a command; see `circumstances_options`."""
        body = None if options["message"] is None else read_file(options["message"])
        named = options["purpose"] or (Purpose.CALL if body is None else Purpose.MESSAGE)
        return cls(
            orig=_number(options["orig"]),
            dest=_number(options["dest"]),
            at=moment(options["at"]),
            purpose=Purpose(named),
            body=body,
            chains=tuple(read_chain(read_file(path), path) for path in options["chains"]),
            proofs=tuple(read_file(path) for path in options["proofs"]),
            app=options["app"],
        )


def circumstances_options(
    *, required: bool, purposes: Iterable[Purpose] = Purpose
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that say how a call came in, for what it judges; the numbers may be `required`."""
    options = (
        click.option(
            "--from",
            "orig",
            metavar="NUMBER",
            required=required,
            help="Who called, by the signalling; or whose record it is.",
        ),
        click.option("--to", "dest", metavar="NUMBER", required=required, help="Who was called."),
        click.option(
            "--at", metavar="TIME", help="Judge as of this time, such as 2026-06-01T12:00:00Z.  [default: now]"
        ),
        click.option("--message", type=click.Path(path_type=Path), help="The message that came in: its MIME body."),
        click.option(
            "--purpose",
            type=click.Choice([one.value for one in purposes]),
            help="What it is.  [default: call; message, where one is given]",
        ),
        click.option("--app", metavar="APP", help="The app in which it came in, or whose record it is."),
        click.option(
            "--chain",
            "chains",
            multiple=True,
            type=click.Path(path_type=Path),
            help="Certificates for a token that brings none, or of another authority. May be repeated.",
        ),
        click.option(
            "--proof",
            "proofs",
            multiple=True,
            type=click.Path(path_type=Path),
            help="A proof that a log shows the certificate's entry, which came beside it. May be repeated.",
        ),
        click.option("--offline", is_flag=True, help="Use the revocation lists at hand, ask nobody."),
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """Turn the errors of the rooms below into one line that says what to do."""
    try:
        yield
    except (TrustStoreError, StirError) as error:
        raise Failure(str(error)) from error


def open_store(*, offline: bool) -> TrustStore:
    """Read the user's trust store."""
    with failing():
        return TrustStore.load(fetch=None if offline else fetch)


def judged(store: TrustStore, token: str, circumstances: Circumstances) -> Verdict:
    """Judge a token or an Identity header that came in, and remember a message that is verified."""
    evidence = _evidence(token, circumstances)
    if isinstance(evidence, Verdict):
        return evidence
    with failing():
        return store.judge(evidence)


def explained(store: TrustStore, evidence: str | Chain, circumstances: Circumstances) -> Explanation:
    """Judge a token or a chain rule by rule, and remember nothing.

    A token may be explained without the numbers of the signalling. Then it is asked about its own, and is never
    verified by that.
    """
    if not isinstance(evidence, str):
        given = circumstances
        return store.explain_chain(evidence, given.at, given.proofs, given.purpose, given.chains, given.app)
    read = _evidence(evidence, circumstances)
    if isinstance(read, Verdict):
        return Explanation(read, (Finding(read.rule, read.reason, read.outcome),))
    with failing():
        found = store.explain(read)
    assumed = {
        Rule.CALLER: circumstances.orig is None,
        Rule.CALLED: circumstances.dest is None,
        Rule.RECORD: circumstances.orig is None or circumstances.app is None,
    }
    return _without_assumptions(found, {rule for rule, holds in assumed.items() if holds})


def describe(store: TrustStore, verdict: Verdict) -> dict[str, object]:
    """Return a verdict as data."""
    return {
        "verdict": verdict.outcome.value,
        "rule": verdict.rule.value,
        "reason": verdict.reason,
        "anchor": verdict.anchor,
        "source": verdict.source,
        "file": str(store.file),
    }


def said_of(finding: Finding) -> dict[str, object]:
    """Return what a rule found as data."""
    return {
        "rule": finding.rule.value,
        "question": QUESTIONS[finding.rule],
        "result": "passed" if finding.outcome is None else finding.outcome.value,
        "reason": finding.reason,
        "source": finding.source,
    }


def tell(store: TrustStore, verdict: Verdict, *, as_json: bool) -> None:
    """Print a verdict."""
    emit(as_json, describe(store, verdict), lambda: _say(store, verdict))


def tell_rules(store: TrustStore, explanation: Explanation, *, as_json: bool) -> None:
    """Print what each rule found, in order, and the verdict."""
    data = describe(store, explanation.verdict) | {
        "rules": [said_of(finding) for finding in explanation.findings],
        "not_asked": [rule.value for rule in _not_asked(explanation)],
    }
    emit(as_json, data, lambda: _say_rules(store, explanation))


def exit_with(verdict: Verdict) -> None:
    """End the command with the exit code of a verdict."""
    click.get_current_context().exit(EXIT_CODES[verdict.outcome])


def read_evidence(given: str) -> str | Chain:
    """Return the token or the chain that an argument is, or names: `-` for standard input, or a file."""
    path = Path(given)
    if given == "-":
        data = sys.stdin.buffer.read(_LARGEST_INPUT)
    elif _is_file(path):
        data = read_file(path)
    elif given.count(".") >= _DOTS:
        return given
    else:
        msg = f"{given} is neither a file nor a token"
        raise Failure(msg)
    if _PEM in data or data.startswith(_DER_SEQUENCE):
        return read_chain(data, "standard input" if given == "-" else path)
    return _text(data)


def read_token(given: str) -> str:
    """Return the token or Identity header that an argument is; `-` for standard input.

    An argument that cannot be meant as either is a mistake of whoever typed it, which says nothing of the caller. An
    empty one, or a header without a token, is what came with the call.
    """
    if given == "-":
        return _text(sys.stdin.buffer.read(_LARGEST_INPUT))
    if _is_file(Path(given)):
        msg = f"{given} is a file, and no token: read it from a file with `- < {shlex.quote(given)}`"
        raise Failure(msg)
    if given and given.count(".") < _DOTS and not _HEADER_SIGNS & set(given):
        msg = "the argument is no token, which has two dots: read it from a file with `- < token.txt`"
        raise Failure(msg)
    return given


def read_chain(data: bytes, source: object) -> Chain:
    """Read certificates in PEM, or one in DER, that came from `source`: a file's name or whatever tells where."""
    try:
        return read_pem_chain(data) if _PEM in data else (load_certificate(data),)
    except StirError as error:
        msg = f"{source}: {error}"
        raise Failure(msg) from error


def read_file(path: Path, largest: int = _LARGEST_INPUT) -> bytes:
    """Return what a file holds, or as much of it as is looked at."""
    try:
        with path.open("rb") as file:
            return file.read(largest)
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise Failure(msg) from error


def moment(text: str | None) -> datetime:
    """Read a time with its zone; now, where none is given."""
    if text is None:
        return datetime.now(UTC)
    try:
        at: datetime | None = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        msg = f"{text} is no time with a zone: write it as 2026-06-01T12:00:00Z"
        raise Failure(msg)
    return at


def place(store: TrustStore, source: str | None) -> str | None:
    """Return the whole path of a line of the user's own, such as `trust.toml:12`; others say where they stand."""
    if source is None:
        return None
    return str(store.file.parent / source) if source.startswith(store.file.name) else source


def _evidence(token: str, circumstances: Circumstances) -> Evidence | Verdict:
    """Return the call or record that a token or Identity header is of, or the verdict on one that is neither."""
    try:
        return _record(token, circumstances) if _BETWEEN in token else _call(token, circumstances)
    except (PassportError, DirectoryError) as error:
        return Verdict(Outcome.REFUSED, Rule.TOKEN, str(error))
    except StirError as error:
        msg = "the token is for a call to something that is no telephone number: say where it went with --to"
        raise Failure(msg) from error


def _call(token: str, given: Circumstances) -> Call:
    if given.purpose is Purpose.RECORD:
        msg = "this is the token of a call or a message, and no record: leave --purpose record out"
        raise Failure(msg)
    bare = token_of(token)
    orig, dest = given.orig, given.dest
    if orig is None or dest is None:
        passport = SignedPassport.parse(bare).passport
        orig, dest = orig or passport.orig, dest or TelephoneNumber(passport.dest[0])
    return Call(
        bare,
        orig,
        dest,
        given.at,
        given.purpose,
        given.body,
        proofs=given.proofs,
        more_chains=given.chains,
        app=given.app,
    )


def _record(token: str, given: Circumstances) -> DirectoryRecord:
    number, app = given.orig, given.app
    if number is None or app is None:
        record = SignedRecord.parse(token).record
        number, app = number or record.number, app or record.app
    return DirectoryRecord(token, number, app, given.at, given.proofs)


def _without_assumptions(found: Explanation, assumed: set[Rule]) -> Explanation:
    """Take back what was found by asking a token about its own numbers."""
    asked = {finding.rule for finding in found.findings}
    reasons = {rule: _NOT_COMPARED[rule] for rule in assumed & asked}
    findings = tuple(
        replace(one, outcome=Outcome.UNVERIFIED, reason=reasons[one.rule])
        if one.rule in reasons and one.passed
        else one
        for one in found.findings
    )
    verdict = found.verdict
    if reasons and verdict.outcome is Outcome.VERIFIED:
        rule = min(reasons, key=list(Rule).index)
        verdict = Verdict(Outcome.UNVERIFIED, rule, reasons[rule], verdict.anchor)
    return Explanation(verdict, findings)


_NOT_COMPARED = {
    Rule.CALLER: "not compared: give --from with the number that the signalling told",
    Rule.CALLED: "not compared: give --to with the number that the signalling told",
    Rule.RECORD: "not compared: give --from and --app with the number and the app that were asked about",
}


def _not_asked(explanation: Explanation) -> list[Rule]:
    """Return the rules after the last that was asked, where that one ended the asking."""
    last, rules = explanation.findings[-1], list(Rule)
    return [] if last.passed else rules[rules.index(last.rule) + 1 :]


def _say(store: TrustStore, verdict: Verdict) -> None:
    click.echo(f"{_coloured(verdict.outcome, verdict.outcome.value.upper())}: {verdict.reason}")
    click.echo(f"  rule    {verdict.rule.value} ({QUESTIONS[verdict.rule]})")
    if verdict.anchor is not None:
        click.echo(f"  anchor  {verdict.anchor}")
    click.echo(f"  stands  {place(store, verdict.source) or 'in the rules that hold for everybody'}")


def _say_rules(store: TrustStore, explanation: Explanation) -> None:
    for finding in explanation.findings:
        word = "ok" if finding.outcome is None else finding.outcome.value.upper()
        where = f"  [{place(store, finding.source)}]" if finding.source else ""
        mark = click.style(f"{word:10}", fg="green" if finding.outcome is None else _COLOURS[finding.outcome])
        click.echo(f"{mark} {finding.rule.value:18} {finding.reason}{where}")
    for rule in _not_asked(explanation):
        click.echo(f"{'-':10} {rule.value:18} not asked")
    click.echo()
    _say(store, explanation.verdict)


def _coloured(outcome: Outcome, text: str) -> str:
    return click.style(text, fg=_COLOURS[outcome], bold=True)


def _number(text: str | None) -> TelephoneNumber | None:
    if text is None:
        return None
    with failing():
        return TelephoneNumber.parse(text)


def _text(data: bytes) -> str:
    try:
        return data.decode("ascii").strip()
    except UnicodeDecodeError as error:
        msg = "this is neither a token nor a certificate"
        raise Failure(msg) from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a token is longer than a file's name can be
        return False
