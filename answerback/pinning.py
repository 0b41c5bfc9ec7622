"""What a person takes into the trust store by its SHA-256: where it comes from, and whether the person agrees."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click

from answerback.failure import Failure
from answerback.judging import read_file

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def fingerprint(text: str) -> str:
    """Read a SHA-256 as people write it: in either case, with colons or spaces."""
    digits = re.sub(r"[:\s]", "", text).lower()
    if not _SHA256.fullmatch(digits):
        msg = "a SHA-256 fingerprint has 64 hexadecimal digits"
        raise Failure(msg)
    return digits


def grouped(sha256: str) -> str:
    """Return a SHA-256 as people compare it, four digits at a time."""
    return " ".join(sha256[at : at + 4] for at in range(0, len(sha256), 4))


def short_name(title: str, otherwise: str) -> str:
    """Return what to call something in `trust.toml`, such as `example-root`."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:64].strip("-") or otherwise


def document(source: str, *, largest: int, any_http: bool) -> bytes:
    """Return what stands at a file's path or a URL; plain http only on this machine, or with `any_http`."""
    from trust_store.fetching import fetch

    return fetch(source, largest=largest, any_http=any_http) if "://" in source else read_file(Path(source), largest)


def require_agreement(show: Callable[[], None], question: str, *, as_json: bool) -> None:
    """Show the person what is about to be taken in, and ask; whoever does not say yes, refuses."""
    if as_json:
        msg = "with --json nothing is asked: give the fingerprint that the operator told you with --sha256"
        raise Failure(msg)
    show()
    click.echo("Does the operator give the same SHA-256 in another place that you trust?", err=True)
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        agreed = False
    if not agreed:
        msg = "nothing was added; where nobody can answer, give --sha256"
        raise Failure(msg)
