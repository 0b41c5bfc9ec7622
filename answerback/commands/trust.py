"""`answerback trust`: choose which authorities to believe, and ask why a caller is believed or not."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.commands.trust_answers import doctor, explain, test
from answerback.commands.trust_list_publish import list_publish
from answerback.commands.trust_lists import diff, subscribe, unsubscribe, update
from answerback.commands.trust_log import log
from answerback.commands.trust_moving import export, import_
from answerback.commands.trust_quorum import quorum
from answerback.commands.trust_watchers import auditor, witness
from answerback.constraints import KEYS, as_terms, constraint_options, described, given, in_words, require_some
from answerback.failure import Failure
from answerback.judging import (
    failing,
    open_store,
    place,
    read_chain,
    read_file,
)
from answerback.list_following import described_list, list_in_words
from answerback.output import emit, json_option
from answerback.pinning import document, fingerprint, grouped, require_agreement, short_name
from trust_store.home import TrustHome

if TYPE_CHECKING:
    from cryptography import x509

    from policies.quorum import Quorum, Quorums
    from policies.terms import Deny
    from stir.certificate import AuthorityCertificate
    from stir.telephone_number import NumberRange
    from stir.tn_auth_list import TnAuthList
    from trust_store import Anchor, TrustStore
    from trust_store.entries import DenyEntry

_LARGEST_CERTIFICATE = 256 * 1024


@click.group()
def trust() -> None:
    """Choose which authorities to believe, for which numbers."""


trust.add_command(log)
trust.add_command(quorum)
for _command in (test, explain, doctor, export, import_):
    trust.add_command(_command)
trust.add_command(witness)
trust.add_command(auditor)
for _command in (subscribe, update, diff, unsubscribe, list_publish):
    trust.add_command(_command)


@trust.command()
@click.argument("source")
@click.option("--sha256", metavar="HEX", help="The certificate's fingerprint, known from elsewhere; asks no question.")
@click.option("--name", help="What to call the authority here.  [default: from its certificate]")
@click.option(
    "--operator", help="Who runs it: two anchors of one operator count as one.  [default: from its certificate]"
)
@constraint_options
@json_option
def add(  # one argument for each option
    source: str,
    sha256: str | None,
    name: str | None,
    operator: str | None,
    as_json: bool,
    **options: object,
) -> None:
    """Believe an authority.

    SOURCE is its certificate: a file, or an https URL. Compare the fingerprint that is shown with one that the operator
    gave you in another way.
    """
    from trust_store import Anchor
    from trust_store.editing import add_anchor

    expected = None if sha256 is None else fingerprint(sha256)
    with failing():
        certificate = _chosen(_certificates(source, any_http=expected is not None), expected)
        read = _authority(certificate)
        terms = as_terms(
            given(options),
            name=name or short_name(read.common_name, "anchor"),
            operator=operator or read.organization,
        )
        anchor = Anchor(terms, certificate)
        if expected is None:
            _ask(anchor, source, as_json=as_json)
        home = TrustHome.of_user()
        add_anchor(home, anchor)
    emit(
        as_json,
        {"added": _described(anchor, home.trust_file), "file": str(home.trust_file)},
        lambda: click.echo(f"{anchor.terms.name} is believed from now on: see {home.trust_file}"),
    )


@trust.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Show whom you believe, on which terms, and what you deny."""
    store = open_store(offline=True)
    data = {
        "file": str(store.file),
        "anchors": [_described(anchor, store.file) for anchor in store.anchors],
        "quorums": [_described_quorum(one, store.quorums) for one in store.quorums.quorums],
        "denies": [_described_deny(deny) for deny in store.denies],
        "lists": [described_list(one, datetime.now(UTC)) for one in store.lists],
        "settings": {
            "revocation": store.settings.revocation.value,
            "call_seconds": store.settings.call_seconds,
            "message_seconds": store.settings.message_seconds,
            "skew_seconds": store.settings.skew_seconds,
            "scts": store.settings.scts,
            "proofs": store.settings.proofs,
            "witnesses": store.settings.witnesses,
        },
    }
    emit(as_json, data, lambda: _say_list(store))


@trust.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show one anchor, and on which terms it is believed."""
    store = open_store(offline=True)
    anchor = next((one for one in store.anchors if one.terms.name == name), None)
    if anchor is None:
        msg = f"{store.file} has no anchor {name!r}: answerback trust list shows those that it has"
        raise Failure(msg)
    emit(as_json, _described(anchor, store.file), lambda: _say_anchor(anchor, place(store, anchor.terms.source)))


@trust.command()
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Stop believing an authority."""
    from trust_store.editing import remove_anchor

    home = TrustHome.of_user()
    with failing():
        remove_anchor(home, name)
    said = f"{name} is no longer believed."
    emit(as_json, {"removed": name, "file": str(home.trust_file)}, lambda: click.echo(said))


@trust.command()
@click.option("--number", metavar="+12025550123", help="Never believe this number.")
@click.option("--prefix", metavar="+1202", help="Never believe numbers that begin so.")
@click.option(
    "--certificate",
    metavar="SHA256|FILE",
    help="Never believe this certificate; with a file, never its key, whichever certificate it comes with.",
)
@click.option("--anchor", metavar="NAME", help="Never believe the key of this anchor, even below another one.")
@click.option("--note", default="", help="Why, for yourself; shown with the verdict.")
@click.option("--undo", is_flag=True, help="Take such a deny back.")
@json_option
def deny(  # one argument for each option
    number: str | None,
    prefix: str | None,
    certificate: str | None,
    anchor: str | None,
    note: str,
    undo: bool,
    as_json: bool,
) -> None:
    """Never believe a number, a prefix or a certificate.

    A deny counts more than anybody who vouches.
    """
    from trust_store.editing import add_deny, remove_deny
    from trust_store.entries import DenyEntry

    if [number, prefix, certificate, anchor].count(None) != 3:  # noqa: PLR2004  # all but one
        msg = "say what to deny: exactly one of --number, --prefix, --certificate and --anchor"
        raise Failure(msg)
    denied = _fingerprint_of_anchor(anchor) if anchor else _fingerprint_of_file(certificate) if certificate else None
    entry = DenyEntry(number=number, prefix=prefix, certificate=denied, note=note)
    home = TrustHome.of_user()
    with failing():
        changed = remove_deny(home, entry) if undo else add_deny(home, entry)
    _say_denied(entry, home.trust_file, changed=changed, undo=undo, as_json=as_json)


@trust.command()
@click.argument("name")
@constraint_options
@click.option("--clear", multiple=True, type=click.Choice(list(KEYS)), help="Take a constraint away. May be repeated.")
@json_option
def constrain(name: str, clear: tuple[str, ...], as_json: bool, **options: object) -> None:
    """Limit how far an authority is believed. Constraints that are not given stay as they are."""
    from trust_store.editing import constrain as change
    from trust_store.toml_text import Value

    values: dict[str, Value | None] = {KEYS[key]: None for key in clear}
    values.update({key: value for key, value in given(options).items() if value is not None})
    require_some(values)
    home = TrustHome.of_user()
    with failing():
        change(home, name, values)
    store = open_store(offline=True)
    anchor = next(one for one in store.anchors if one.terms.name == name)
    emit(as_json, _described(anchor, store.file), lambda: _say_anchor(anchor, place(store, anchor.terms.source)))


@trust.command()
@click.argument("number")
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), required=True, metavar="DATE", help="When (UTC).")
@click.option(
    "--kind",
    type=click.Choice(["port", "reassignment"]),
    required=True,
    help="It moved to another carrier, or was given to somebody else.",
)
@json_option
def transition(number: str, day: datetime, kind: str, as_json: bool) -> None:
    """Believe no certificate from before NUMBER changed hands."""
    from policies.transitions import TransitionKind
    from trust_store.editing import add_transition
    from trust_store.entries import TransitionEntry

    home = TrustHome.of_user()
    with failing():
        add_transition(home, TransitionEntry(number, day.date(), TransitionKind(kind)))
    said = f"{number}: certificates up to {day:%Y-%m-%d} are believed no longer, see {home.trust_file}"
    emit(
        as_json,
        {"number": number, "date": f"{day:%Y-%m-%d}", "kind": kind, "file": str(home.trust_file)},
        lambda: click.echo(said),
    )


# What was given


def _certificates(source: str, *, any_http: bool) -> tuple[x509.Certificate, ...]:
    return read_chain(document(source, largest=_LARGEST_CERTIFICATE, any_http=any_http), source)


def _chosen(found: tuple[x509.Certificate, ...], expected: str | None) -> x509.Certificate:
    """Return the certificate with the fingerprint, or the only one, or the root among several."""
    from trust_store.fingerprints import sha256_of

    if expected is not None:
        for certificate in found:
            if sha256_of(certificate) == expected:
                return certificate
        shown = ", ".join(sha256_of(certificate) for certificate in found)
        msg = f"no certificate there has this SHA-256; what stands there has {shown}: do not believe it"
        raise Failure(msg)
    roots = [one for one in found if one.issuer == one.subject] if len(found) > 1 else list(found)
    if len(roots) != 1:
        msg = "several certificates stand there: choose one with --sha256"
        raise Failure(msg)
    return roots[0]


def _authority(certificate: x509.Certificate) -> AuthorityCertificate:
    from stir.certificate import AuthorityCertificate
    from stir.errors import CertificateProfileError

    try:
        return AuthorityCertificate.read(certificate)
    except CertificateProfileError as error:
        msg = f"this certificate cannot be an anchor: {error}"
        raise Failure(msg) from error


def _fingerprint_of_file(given: str) -> str:
    """Return the fingerprint to deny: one that is given, or that of the key in a certificate's file.

    A certificate can be written anew, for its key or by turning its signature over; the key stays what it is.
    """
    from trust_store.fingerprints import key_sha256_of

    if not Path(given).is_file():
        return fingerprint(given)
    return key_sha256_of(read_chain(read_file(Path(given)), given)[0])


def _fingerprint_of_anchor(name: str) -> str:
    from trust_store.fingerprints import key_sha256_of

    store = open_store(offline=True)
    for anchor in store.anchors:
        if anchor.terms.name == name:
            return key_sha256_of(anchor.certificate)
    msg = f"{store.file} has no anchor {name!r}: answerback trust list shows those that it has"
    raise Failure(msg)


# What is said


def _ask(anchor: Anchor, source: str, *, as_json: bool) -> None:
    """Show whom the person is about to believe, and ask."""

    def show() -> None:
        click.echo(f"At {source} stands the certificate of an authority:", err=True)
        _say_anchor(anchor, None, err=True)

    require_agreement(show, f"Believe it for {in_words(anchor.terms)}?", as_json=as_json)


def _say_anchor(anchor: Anchor, where: str | None, *, err: bool = False) -> None:
    read, terms = anchor.authority, anchor.terms
    by = "itself: a root" if anchor.certificate.issuer == anchor.certificate.subject else "another authority"
    rows = {
        "name": terms.name,
        "operator": terms.operator,
        "certificate": f"{read.common_name} ({read.organization}), issued by {by}",
        "SHA-256": grouped(anchor.sha256),
        "valid": f"{read.not_before:%Y-%m-%d} to {read.not_after:%Y-%m-%d}",
        "may certify": "any number" if read.numbers is None else ", ".join(_prefixes_or_ranges(read.numbers)),
        "believed for": in_words(terms),
    }
    for key, value in rows.items():
        click.echo(f"  {key:13} {value}", err=err)
    if where is not None:
        click.echo(f"  {'stands at':13} {where}", err=err)


def _say_list(store: TrustStore) -> None:
    if not store.anchors:
        click.echo(f"You believe nobody yet ({store.file}). Add an authority: answerback trust add URL")
    for anchor in store.anchors:
        terms = anchor.terms
        expired = "  EXPIRED" if anchor.authority.not_after < datetime.now(UTC) else ""
        click.echo(f"{click.style(terms.name, bold=True)}  {terms.operator}{expired}")
        click.echo(f"  believed for {in_words(terms)}  [{place(store, terms.source)}]")
    for one in store.lists:
        told = list_in_words(one, datetime.now(UTC))
        click.echo(f"{click.style('list', bold=True)} {one.entry.name}: {told}  [{place(store, one.source)}]")
    for asked in store.quorums.quorums:
        words = store.quorums.in_words(asked.group)
        click.echo(
            f"{click.style('quorum', bold=True)} {words}{_scope_in_words(asked)}  [{place(store, asked.source)}]"
        )
    for denied in store.denies:
        note = f" ({denied.note})" if denied.note else ""
        click.echo(
            f"{click.style('never', fg='red')} {_denied_in_words(denied)}{note}  [{place(store, denied.source)}]"
        )


def _say_denied(entry: DenyEntry, file: Path, *, changed: bool, undo: bool, as_json: bool) -> None:
    what = entry.number or (f"numbers that begin with {entry.prefix}" if entry.prefix else f"{entry.certificate}")
    verb = "no longer denied" if undo else "denied from now on"
    said = f"{what}: {verb}." if changed else f"{what}: nothing to change."
    fields = {"number": entry.number, "prefix": entry.prefix, "certificate": entry.certificate}
    data = {"changed": changed, "denied": not undo, "file": str(file)}
    emit(as_json, data | {key: value for key, value in fields.items() if value}, lambda: click.echo(said))


def _described(anchor: Anchor, file: Path) -> dict[str, object]:
    read, terms = anchor.authority, anchor.terms
    return {
        "name": terms.name,
        "operator": terms.operator,
        "sha256": anchor.sha256,
        "common_name": read.common_name,
        "not_before": read.not_before.isoformat(),
        "not_after": read.not_after.isoformat(),
        "may_certify": None if read.numbers is None else _prefixes_or_ranges(read.numbers),
        **described(terms),
        "source": terms.source or file.name,
    }


def _described_deny(denied: Deny) -> dict[str, object]:
    return {
        "number": None if denied.number is None else denied.number.e164,
        "prefix": None if denied.prefix is None else denied.prefix.e164,
        "certificate": denied.certificate,
        "note": denied.note,
        "source": denied.source,
    }


def _described_quorum(asked: Quorum, quorums: Quorums) -> dict[str, object]:
    return {
        "group": asked.group,
        "asks_for": quorums.in_words(asked.group),
        "prefixes": None if asked.prefixes is None else [prefix.e164 for prefix in asked.prefixes],
        "purposes": None if asked.purposes is None else [purpose.value for purpose in asked.purposes],
        "apps": None if asked.apps is None else list(asked.apps),
        "source": asked.source,
    }


def _scope_in_words(asked: Quorum) -> str:
    scopes = (
        ("for numbers that begin with", [prefix.e164 for prefix in asked.prefixes or ()]),
        ("for", [f"{purpose}s" for purpose in asked.purposes or ()]),
        ("in", list(asked.apps or ())),
    )
    return "".join(f", {words} {', '.join(names)}" for words, names in scopes if names)


def _denied_in_words(denied: Deny) -> str:
    if denied.number is not None:
        return denied.number.e164
    if denied.prefix is not None:
        return f"numbers that begin with {denied.prefix.e164}"
    return f"the certificate or key {denied.certificate}"


def _prefixes_or_ranges(numbers: TnAuthList) -> list[str]:
    """Return the prefixes that a list stands for or, where it stands for none, its ranges."""
    from stir.errors import StirError
    from stir.telephone_number import NumberPrefix
    from stir.tn_auth_list import TnAuthList

    prefixes = {_shared(one.start, _last(one)) for one in numbers.intervals}
    try:
        found = [NumberPrefix(digits) for digits in sorted(prefixes)]
        if TnAuthList.for_prefixes(found).intervals == numbers.intervals:
            return [prefix.e164 for prefix in found]
    except StirError:
        pass  # what they share is no prefix of a number
    return [f"{one.start} to {_last(one)}" for one in numbers.intervals]


def _shared(first: str, last: str) -> str:
    """Return the digits with which two numbers of one length begin alike."""
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=True))
    return "".join(digit for digit, _ in alike)


def _last(numbers: NumberRange) -> str:
    return str(numbers.last).zfill(numbers.length)
