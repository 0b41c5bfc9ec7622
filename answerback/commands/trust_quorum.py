"""`answerback trust quorum`: ask for several authorities' certificates of one key."""

from __future__ import annotations

from typing import Literal

import click

from answerback.failure import Failure
from answerback.judging import failing, open_store
from answerback.output import emit, json_option
from trust_store.home import TrustHome


@click.command()
@click.argument("group")
@click.option("--need", metavar="N|all|any", help="How many of the members are needed, for a new group.")
@click.option(
    "--member", "members", multiple=True, metavar="NAME", help="An anchor or group of yours. May be repeated."
)
@click.option(
    "--prefix", "prefixes", multiple=True, metavar="+1202", help="Ask only for numbers that begin so. May be repeated."
)
@click.option(
    "--purpose",
    "purposes",
    multiple=True,
    type=click.Choice(["call", "message", "record"]),
    help="Ask only for this use. May be repeated.",
)
@click.option("--app", "apps", multiple=True, metavar="APP", help="Ask only in this app. May be repeated.")
@click.option("--remove", is_flag=True, help="Ask for it no longer, and forget the group.")
@json_option
def quorum(
    group: str,
    need: str | None,
    members: tuple[str, ...],
    prefixes: tuple[str, ...],
    purposes: tuple[str, ...],
    apps: tuple[str, ...],
    remove: bool,
    as_json: bool,
) -> None:
    """Ask for several authorities' certificates of one key.

    GROUP is a name for the group that you make with --need and --member, or one that is there, or an anchor.
    """
    from policies.terms import Purpose
    from trust_store.editing import add_quorum, remove_quorum
    from trust_store.entries import GroupEntry, QuorumEntry

    home = TrustHome.of_user()
    with failing():
        if remove:
            remove_quorum(home, group)
        else:
            made = GroupEntry(group, _need(need), members) if need is not None or members else None
            scope = (prefixes or None, tuple(Purpose(one) for one in purposes) or None, apps or None)
            add_quorum(home, QuorumEntry(group, *scope), made)
    verb = "no longer asked for" if remove else "asked for from now on"
    quorums = open_store(offline=True).quorums
    said = f"{group if remove else quorums.in_words(group)}: {verb}, see {home.trust_file}"
    emit(as_json, {"group": group, "asked": not remove, "file": str(home.trust_file)}, lambda: click.echo(said))


def _need(text: str | None) -> int | Literal["all", "any"]:
    if text == "all":
        return "all"
    if text == "any":
        return "any"
    if text is None or not text.isdecimal():
        msg = "say how many of the members are needed: --need 2, --need all or --need any"
        raise Failure(msg)
    return int(text)
