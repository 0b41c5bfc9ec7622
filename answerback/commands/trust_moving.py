"""`answerback trust export` and `import`: the whole store in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.constraints import in_words
from answerback.failure import Failure
from answerback.judging import failing, open_store
from answerback.output import emit, json_option
from answerback.pinning import document, fingerprint, grouped, require_agreement
from trust_store.home import TrustHome

if TYPE_CHECKING:
    from trust_store.loading import StoreParts


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--pem", is_flag=True, help="Only the authorities' certificates, for other software.")
@click.option("--lossy", is_flag=True, help="With --pem: though constraints and denies are lost.")
@json_option
def export(file: Path | None, pem: bool, lossy: bool, as_json: bool) -> None:
    """Put your whole trust store into one file.

    With every constraint, and the lists that you follow. Without FILE, on standard output.
    """
    from hashlib import sha256

    from trust_store import moving
    from trust_store.files import write_file

    if lossy and not pem:
        msg = "--lossy is for --pem: a whole export loses nothing"
        raise Failure(msg)
    if as_json and file is None:
        msg = "with --json, name a FILE for the export"
        raise Failure(msg)
    with failing():
        data = moving.pem(open_store(offline=True), lossy=lossy) if pem else moving.exported(TrustHome.of_user())
        if file is not None:
            write_file(file, data)
    if file is None:
        click.echo(data, nl=False)
        return
    digest = sha256(data).hexdigest()
    emit(as_json, {"file": str(file), "sha256": digest}, lambda: click.echo(f"{file}: SHA-256 {grouped(digest)}"))


@click.command("import")
@click.argument("source")
@click.option("--sha256", metavar="HEX", help="The file's fingerprint, known from elsewhere; asks no question.")
@click.option(
    "--replace", is_flag=True, help="Put it in the place of the store that is there, which is kept beside it."
)
@json_option
def import_(source: str, sha256: str | None, replace: bool, as_json: bool) -> None:
    """Make an export your trust store.

    SOURCE is a file, or an https URL.
    """
    from hashlib import sha256 as digest_of

    from trust_store import moving

    expected = None if sha256 is None else fingerprint(sha256)
    with failing():
        data = document(source, largest=moving.LARGEST_EXPORT, any_http=expected is not None)
        found = digest_of(data).hexdigest()
        if expected is not None and found != expected:
            msg = f"what stands there has the SHA-256 {found}, which is not the one you gave: do not believe it"
            raise Failure(msg)
        parts = moving.parts_of(data)
        if expected is None:
            require_agreement(lambda: _show(parts, source, found), "Believe these from now on?", as_json=as_json)
        home = TrustHome.of_user()
        kept = moving.import_export(home, data, replace=replace)
    former = "" if kept is None else f"; the former one is kept as {kept}"
    emit(
        as_json,
        {"file": str(home.trust_file), "anchors": len(parts.anchors), "kept": None if kept is None else str(kept)},
        lambda: click.echo(f"{home.trust_file} is as exported{former}"),
    )


def _show(parts: StoreParts, source: str, sha256: str) -> None:
    click.echo(f"At {source} stands a whole trust store. SHA-256: {grouped(sha256)}", err=True)
    for anchor in parts.anchors:
        click.echo(f"  {anchor.terms.name} ({anchor.terms.operator}): {in_words(anchor.terms)}", err=True)
        click.echo(f"    {grouped(anchor.sha256)}", err=True)
    click.echo(f"  {len(parts.denies)} denies, {len(parts.quorums.quorums)} quorums", err=True)
