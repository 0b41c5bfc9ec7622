"""`answerback directory lookup`: for callers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from answerback.commands.directory_options import asked_of, ca_option, place_options
from answerback.commands.directory_records import described_record, iso, media_in_words
from answerback.failure import Failure
from answerback.output import emit, json_option

if TYPE_CHECKING:
    from number_directory.record import SignedRecord
    from number_directory.remembered import Remembered
    from number_directory.resolver import Listing, Resolved

_NOT_FOUND = 3
_COLOURS = {"verified": "green", "unverified": "yellow", "refused": "red"}


@click.command()
@click.argument("numbers", nargs=-1, required=True, metavar="NUMBER...")
@click.option("--from", "caller", metavar="NUMBER", help="Sign as this number of yours, and see what it may see.")
@click.option(
    "--token", "tokens", multiple=True, metavar="TOKEN", help="A token that the owner gave you. May be repeated."
)
@click.option(
    "--directory",
    "urls",
    multiple=True,
    metavar="URL",
    help="Ask this one. May be repeated: they are asked side by side.",
)
@click.option(
    "--fallback",
    "fallbacks",
    multiple=True,
    metavar="URL",
    help="Ask this one where the other is down. May be repeated.",
)
@click.option("--hidden", is_flag=True, help="Do not show the numbers: find what is open to anyone.")
@click.option("--offline", is_flag=True, help="Use the revocation lists at hand, ask nobody for them.")
@click.option("--no-memory", is_flag=True, help="Neither use nor keep what was seen of numbers before.")
@click.option("--forget", is_flag=True, help="Forget first what was seen of these numbers before.")
@ca_option
@place_options
@json_option
def lookup(
    numbers: tuple[str, ...],
    caller: str | None,
    tokens: tuple[str, ...],
    urls: tuple[str, ...],
    fallbacks: tuple[str, ...],
    hidden: bool,
    offline: bool,
    no_memory: bool,
    forget: bool,
    ca: str | None,
    as_json: bool,
    **place: Any,  # noqa: ANN401  # click passes the options of `place_options`
) -> None:
    """Look numbers up, and have each record judged by your own trust store.

    The directory is believed nothing. Without --from nobody learns who asks, and only what is open to anyone is seen.
    With --hidden the directory learns no number, with --from or without: it sees in which of some buckets it is.
    What was verified is remembered on this device, sealed, so that an older record is refused the next time.
    Exit codes: 0 where each number has a verified record, 3 where one has none; with 1 and 2, nothing was looked up.
    """
    from answerback.directory_asking import StoreJudge, failing, place_at, signer_of
    from answerback.judging import open_store
    from number_directory.record_memory import RecordMemory
    from number_directory.resolver import Resolver
    from stir.telephone_number import TelephoneNumber

    if hidden and tokens:
        msg = "a hidden lookup finds what is open to anyone, and shows no token: leave out --token or --hidden"
        raise Failure(msg)
    with failing(), RecordMemory.of_user() as memory:
        asked = replace(asked_of(None, place), directories=urls)
        resolver = Resolver(
            asked.connect,
            StoreJudge(open_store(offline=offline)),
            None if caller is None else signer_of(caller, ca),
            tokens,
            tuple(map(place_at, fallbacks)),
            hidden=hidden,
            memory=None if no_memory else memory,
        )
        wanted = [TelephoneNumber.parse(number) for number in numbers]
        if forget:
            memory.forget(wanted)
        if len(urls) > 1:
            found = resolver.side_by_side(asked.places(), wanted)
        else:
            found = resolver.resolve(asked.routing(), wanted)
    if not any(one.is_answered for one in found):
        raise Failure("; ".join(dict.fromkeys(told for one in found for told in one.told)))
    emit(as_json, {"numbers": [_described(one) for one in found]}, lambda: _tell_found(found))
    if not all(one.verified for one in found):
        click.get_current_context().exit(_NOT_FOUND)


# What was found


def _described(found: Resolved) -> dict[str, object]:
    return {
        "number": found.number.e164,
        "answered": found.is_answered,
        "asked": list(found.asked),
        "told": list(found.told),
        "records": [_described_listing(one) for one in found.listings],
    }


def _described_listing(one: Listing) -> dict[str, object]:
    judgement = one.judgement
    record = {"app": None} if one.record is None else described_record(one.record)
    return record | {
        "directory": one.directory,
        "verdict": judgement.belief.value,
        "rule": judgement.rule,
        "reason": judgement.reason,
        "anchor": judgement.anchor,
        "source": judgement.source,
        "evidence": None if one.record is None or one.before is None else _evidence(one.record, one.before),
    }


def _evidence(shown: SignedRecord, before: Remembered) -> dict[str, object]:
    """Return two records that the number's key has signed, of which the first should not have been shown any more."""
    return {
        "shown": shown.without_media,
        "before": before.record.without_media,
        "directory": before.directory,
        "seen": iso(before.seen_at),
    }


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the table."""

    app: str
    media: str
    verdict: str
    why: str


def _tell_found(found: Sequence[Resolved]) -> None:
    for one in found:
        click.echo(click.style(one.number.e164, bold=True))
        _tell_table(one.listings)
        for told in one.told:
            click.echo(f"  note: {told}")
        if not one.listings:
            click.echo("  nothing that you may see" if one.is_answered else "  no directory answered")


def _tell_table(listings: Sequence[Listing]) -> None:
    rows = [_row(one) for one in listings]
    if not rows:
        return
    apps, media = (
        max(len(text) for text in column) for column in zip(*((row.app, row.media) for row in rows), strict=True)
    )
    apps, media = max(apps, len("APP")), max(media, len("MEDIA"))
    click.echo(f"  {'APP':{apps}}  {'MEDIA':{media}}  {'VERDICT':10}  WHY")
    for row, one in zip(rows, listings, strict=True):
        verdict = click.style(f"{row.verdict:10}", fg=_COLOURS[row.verdict])
        click.echo(f"  {row.app:{apps}}  {row.media:{media}}  {verdict}  {row.why}")
        if one.record is not None and one.judgement.is_verified:
            for uri in one.record.record.uris:
                click.echo(f"  {'':{apps}}  {uri}")


def _row(one: Listing) -> _Row:
    source = f" [{one.judgement.source}]" if one.judgement.source else ""
    anchor = f"{one.judgement.anchor}: " if one.judgement.anchor else ""
    media = "-" if one.record is None else media_in_words(one.record)
    return _Row(one.app or "?", media, one.judgement.belief.value, f"{anchor}{one.judgement.reason}{source}")
