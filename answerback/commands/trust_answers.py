"""`answerback trust test`, `explain` and `doctor`: what the store says, why, and what is wrong with it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.failure import Failure
from answerback.judging import (
    EXIT_CODES_HELP,
    Circumstances,
    circumstances_options,
    exit_with,
    explained,
    failing,
    open_store,
    place,
    read_evidence,
    read_file,
    said_of,
    tell,
    tell_rules,
)
from answerback.output import emit, json_option
from policies.verdicts import Outcome
from trust_store.home import TrustHome

if TYPE_CHECKING:
    from trust_store import TrustStore
    from trust_store.doctor import Diagnosis
    from trust_store.expectations import Answer
    from trust_store.prospect import NumberProspect

_NUMBER = re.compile(r"\+[0-9]+", re.ASCII)
_COLOURS = {"error": "red", "warning": "yellow", "note": None}


@click.command(epilog=EXIT_CODES_HELP)
@click.argument("evidence", required=False)
@circumstances_options(required=False)
@click.option(
    "--expect",
    type=click.Choice([outcome.value for outcome in Outcome]),
    help="Exit with 0 if this is the verdict, and with 1 if not.",
)
@click.option(
    "--expectations",
    type=click.Path(path_type=Path),
    help="A file of what you expect, a line each: +12025550123 by example-root for calls: verified",
)
@json_option
def test(evidence: str | None, expect: str | None, expectations: Path | None, as_json: bool, **options: object) -> None:
    """Try something against your trust store, and say the verdict.

    Nothing is remembered. EVIDENCE is a file with certificates (the number's first) or a token, a token itself, or -
    for standard input. With --expectations, a whole file of expectations is held against the store, and the exit code
    is 0 if all hold.
    """
    store = open_store(offline=bool(options["offline"]))
    if expectations is not None:
        _test_expectations(store, expectations, as_json=as_json)
        return
    if evidence is None:
        msg = "say what to try: a file, a token, or --expectations FILE"
        raise Failure(msg)
    circumstances = Circumstances.given(options)
    verdict = explained(store, read_evidence(evidence), circumstances).verdict
    tell(store, verdict, as_json=as_json)
    if expect is not None:
        click.get_current_context().exit(int(verdict.outcome.value != expect))
    exit_with(verdict)


@click.command(epilog=EXIT_CODES_HELP)
@click.argument("evidence")
@circumstances_options(required=False)
@json_option
def explain(evidence: str, as_json: bool, **options: object) -> None:
    """Say why something is believed or not, rule by rule.

    Each rule is told with what it found and where it stands. EVIDENCE is a file with certificates (the number's first)
    or a token, a token itself, or - for standard input. A token is never verified without --from and --to: who called
    is the signalling's to say, not the token's. A number, such as +12025550123, is explained before anybody calls: who
    could certify it so that you believe it?
    """
    circumstances = Circumstances.given(options)
    store = open_store(offline=bool(options["offline"]))
    if _NUMBER.fullmatch(evidence):
        _explain_number(store, evidence, circumstances, as_json=as_json)
        return
    explanation = explained(store, read_evidence(evidence), circumstances)
    tell_rules(store, explanation, as_json=as_json)
    exit_with(explanation.verdict)


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Look for what is wrong with your trust store, and what to do.

    It also looks for what soon will be wrong, and changes nothing. Exits with 1 where something does not work or is not
    safe.
    """
    from trust_store.doctor import Severity, examine

    home = TrustHome.of_user()
    found = examine(home, datetime.now(UTC))
    diagnoses = [
        {"severity": one.severity.value, "finding": one.finding, "advice": one.advice, "source": one.source}
        for one in found
    ]
    emit(as_json, {"file": str(home.trust_file), "diagnoses": diagnoses}, lambda: _say_diagnoses(home, found))
    click.get_current_context().exit(int(any(one.severity is Severity.ERROR for one in found)))


def _say_diagnoses(home: TrustHome, found: tuple[Diagnosis, ...]) -> None:
    for one in found:
        where = f"  [{home.trust_file.parent / one.source}]" if one.source else ""
        click.echo(f"{click.style(one.severity.value, fg=_COLOURS[one.severity.value])}: {one.finding}{where}")
        click.echo(f"  {one.advice}")
    if not found:
        click.echo(f"Nothing is wrong with {home.trust_file}.")


def _test_expectations(store: TrustStore, path: Path, *, as_json: bool) -> None:
    from trust_store.expectations import answer, read_expectations

    now = datetime.now(UTC)
    try:
        text = read_file(path).decode()
    except UnicodeDecodeError as error:
        msg = f"{path} is no text"
        raise Failure(msg) from error
    with failing():
        answers = [answer(store, one, now) for one in read_expectations(text)]
    failed = sum(not one.holds for one in answers)
    data = {
        "expectations": [
            {
                "line": one.expectation.line,
                "expectation": one.expectation.text,
                "holds": one.holds,
                "verdict": one.explanation.verdict.outcome.value,
                "rule": one.explanation.verdict.rule.value,
                "reason": one.explanation.verdict.reason,
                "source": one.explanation.verdict.source,
            }
            for one in answers
        ],
        "failed": failed,
    }
    emit(as_json, data, lambda: _say_answers(store, answers, failed))
    click.get_current_context().exit(int(failed > 0))


def _say_answers(store: TrustStore, answers: list[Answer], failed: int) -> None:
    for one in answers:
        verdict = one.explanation.verdict
        word = click.style("holds  ", fg="green") if one.holds else click.style("DIFFERS", fg="red")
        click.echo(f"{word} {one.expectation.text}")
        if not one.holds:
            where = place(store, verdict.source)
            stands = f"  [{where}]" if where else ""
            click.echo(f"        {verdict.outcome.value} by {verdict.rule.value}: {verdict.reason}{stands}")
    click.echo(f"{len(answers) - failed} of {len(answers)} expectations hold.")


def _explain_number(store: TrustStore, text: str, circumstances: Circumstances, *, as_json: bool) -> None:
    from policies.facts import Use
    from stir.telephone_number import TelephoneNumber
    from trust_store.prospect import prospects

    with failing():
        number = TelephoneNumber.parse(text)
    found = prospects(store, Use(number, circumstances.at, circumstances.purpose, circumstances.app))
    data = {
        "number": number.e164,
        "purpose": circumstances.purpose.value,
        "app": circumstances.app,
        "denied": None if found.denied.passed else said_of(found.denied),
        "believed_by": [one.anchor.terms.name for one in found.anchors if one.is_believed and found.denied.passed],
        "anchors": [
            {
                "name": one.anchor.terms.name,
                "believed": one.is_believed,
                "rules": [said_of(finding) for finding in one.findings],
            }
            for one in found.anchors
        ],
        "quorums": [{"asks_for": store.quorums.in_words(one.group), "source": one.source} for one in found.quorums],
    }
    emit(as_json, data, lambda: _say_number(store, number.e164, circumstances, found))


def _say_number(store: TrustStore, number: str, circumstances: Circumstances, found: NumberProspect) -> None:
    click.echo(f"{number}, for {circumstances.purpose}s{f' in {circumstances.app}' if circumstances.app else ''}:")
    if not found.denied.passed:
        click.echo(f"  {click.style('never', fg='red')}: {found.denied.reason}  [{place(store, found.denied.source)}]")
        return
    for one in found.anchors:
        terms, last = one.anchor.terms, one.findings[-1]
        if one.is_believed:
            click.echo(f"  {click.style('believed', fg='green')} if certified by {terms.name} ({terms.operator})")
        else:
            click.echo(f"  {click.style('refused', fg='red')} if certified by {terms.name}: {last.reason}")
        for finding in one.findings:
            if finding.source is not None:
                click.echo(f"    {finding.rule.value:18} {finding.reason}  [{place(store, finding.source)}]")
    for quorum in found.quorums:
        words = store.quorums.in_words(quorum.group)
        click.echo(f"  and only if certified by {words}  [{place(store, quorum.source)}]")
    click.echo("  unverified if certified by anybody else")
