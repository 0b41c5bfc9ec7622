"""Changes to `trust.toml` that the user asks for. Whatever they do not concern stays as it stands, comments and all.

A change is made line by line on the text, under a lock, held against the file's format, and put in place in one step: a
killed process leaves the old file or the new one. A comment right above an entry belongs to it and goes with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from policies.terms import Terms
from stir.certificate_chain import write_pem_chain
from trust_store import loading, trust_file
from trust_store.anchors import Anchor
from trust_store.entries import (
    AnchorEntry,
    AuditorEntry,
    DenyEntry,
    GroupEntry,
    LogEntry,
    QuorumEntry,
    SubscriptionEntry,
    TransitionEntry,
    TrustFileContent,
    WitnessEntry,
)
from trust_store.errors import AnchorError, ListError, LogError
from trust_store.files import locked, unlink, write_file
from trust_store.home import TrustHome
from trust_store.logs import KnownLogs, TrustedLog
from trust_store.toml_text import TomlText, Value

_BEGINNING = """\
# Whom you believe when a call or message says which number it comes from.
# This file is yours: only you, and the `answerback trust` commands that you give, change it.
# docs/reference/trust-toml.md explains every key.
"""


def add_anchor(home: TrustHome, anchor: Anchor) -> None:
    """Believe an authority on the anchor's terms; raise AnchorError where its name or certificate is there already."""
    terms = anchor.terms
    with locked(home.trust_file):
        text = _read(home.trust_file)
        for entry in text.content.anchor:
            if anchor.sha256 == entry.sha256 or terms.name == entry.name:
                msg = f"{home.trust_file} has {entry.name} already: remove it first, or choose another name"
                raise AnchorError(msg)
        _require_known_logs(text, terms.logs or ())
        own: dict[str, Value | None] = {"name": terms.name, "operator": terms.operator, "sha256": anchor.sha256}
        changed = text.with_entry("anchor", own | written_constraints(terms))
        # The certificate first: an entry without its certificate would make the whole store unreadable.
        write_file(home.anchors / f"{anchor.sha256}.pem", write_pem_chain([anchor.certificate]))
        changed.write()


def written_constraints(terms: Terms) -> dict[str, Value | None]:
    """Return an anchor's constraints as `trust.toml` spells them; None stands for one that is not set."""
    hours = None if terms.longest_life is None else terms.longest_life // timedelta(hours=1)
    return {
        "prefixes": None if terms.prefixes is None else tuple(prefix.e164 for prefix in terms.prefixes),
        "purposes": None if terms.purposes is None else tuple(purpose.value for purpose in terms.purposes),
        "issued_not_after": terms.issued_not_after,
        "until": terms.until,
        "methods": None if terms.methods is None else tuple(method.label for method in terms.methods),
        "longest_life_hours": hours,
        "authority_keys": None if terms.authority_keys is None else tuple(key.value for key in terms.authority_keys),
        "scts": terms.scts,
        "logs": terms.logs,
        "log_operators": terms.log_operators,
    }


def remove_anchor(home: TrustHome, name: str) -> None:
    """Stop believing an authority; raise AnchorError where there is no anchor of that name."""
    with locked(home.trust_file):
        text = _read(home.trust_file)
        if all(entry.name != name for entry in text.content.anchor) and loading.offer_named(home, text.text, name):
            msg = f"{name} comes from a list or an app: believe it never, with `answerback trust deny --anchor {name}`"
            raise AnchorError(msg)
        index, entry = _anchor_named(text, name)
        for group in text.content.group:
            if name in group.members:
                msg = f"{name} is in the group {group.name}: remove that first, with `answerback trust quorum --remove`"
                raise AnchorError(msg)
        for quorum in text.content.quorum:
            if name == quorum.group:
                msg = f"a quorum asks for {name}: remove that first, with `answerback trust quorum --remove`"
                raise AnchorError(msg)
        text.without_entry("anchor", index).write()
        unlink(home.anchors / f"{entry.sha256}.pem")


def constrain(home: TrustHome, name: str, values: Mapping[str, Value | None]) -> None:
    """Set an anchor's constraints, by the keys of `trust.toml`; None takes one away.

    An anchor that a list or an app brings gets a `[[limit]]`. Raises AnchorError where there is no anchor of that name,
    and LogError where there is no log of a name in `logs`.
    """
    with locked(home.trust_file):
        text = _read(home.trust_file)
        named = values.get("logs")
        _require_known_logs(text, named if isinstance(named, tuple) else ())
        text, kind, index = _constrained(home, text, name)
        for key, value in values.items():
            text = text.with_value((kind, index, key), value)
        text.write()


def _constrained(home: TrustHome, text: _Text, name: str) -> tuple[_Text, str, int]:
    """Return the text with the entry that constrains an anchor, and which one that is."""
    for index, entry in enumerate(text.content.anchor):
        if entry.name == name:
            return text, "anchor", index
    sha256 = loading.offer_named(home, text.text, name)
    if sha256 is None:
        raise _no_anchor(text, name)
    for index, limit in enumerate(text.content.limit):
        if limit.sha256 == sha256:
            return text, "limit", index
    return text.with_entry("limit", {"sha256": sha256}), "limit", len(text.content.limit)


def add_transition(home: TrustHome, transition: TransitionEntry) -> None:
    """Believe no certificate of a number from before it changed hands."""
    with locked(home.trust_file):
        text = _read(home.trust_file)
        values: dict[str, Value | None] = {"number": transition.number, "date": transition.date}
        values["kind"] = transition.kind.value
        text.with_entry("transition", values).write()


def add_quorum(home: TrustHome, quorum: QuorumEntry, group: GroupEntry | None) -> None:
    """Ask for a quorum of a group that is added, or of a group or anchor that is there; raise TrustFileError."""
    with locked(home.trust_file):
        text = _read(home.trust_file)
        if group is not None:
            made: dict[str, Value | None] = {"name": group.name, "need": group.need, "members": group.members}
            text = text.with_entry("group", made)
        changed = text.with_entry("quorum", {key: _plain(getattr(quorum, key)) for key in quorum.__struct_fields__})
        loading.require_sound(home, changed.text)
        changed.write()


def remove_quorum(home: TrustHome, group: str) -> None:
    """Ask for the quorums of a group no longer, and forget the group; raise AnchorError where there is none."""
    with locked(home.trust_file):
        text = _read(home.trust_file)
        asked = [index for index, entry in enumerate(text.content.quorum) if entry.group == group]
        named = [index for index, entry in enumerate(text.content.group) if entry.name == group]
        if not asked and not named:
            msg = f"{text.path} has no quorum of {group!r}: `answerback trust list` shows those that it has"
            raise AnchorError(msg)
        for kind, found in (("quorum", asked), ("group", named)):
            for index in reversed(found):
                text = text.without_entry(kind, index)
        loading.require_sound(home, text.text)
        text.write()


def _plain(value: object) -> Value | None:
    """Return a value without the enumerations in it."""
    return tuple(str(one) for one in value) if isinstance(value, tuple) else value  # type: ignore[return-value]


def add_log(home: TrustHome, log: TrustedLog) -> None:
    """Count a log's word; raise LogError where its name, its description or a shard of it is there already."""
    with locked(home.trust_file):
        text = _read(home.trust_file)
        for entry in text.content.log:
            if log.sha256 == entry.sha256 or log.name == entry.name:
                msg = f"{home.trust_file} has the log {entry.name} already: remove it first, or choose another name"
                raise LogError(msg)
        KnownLogs([*loading.load(home).logs.logs, log])
        changed = text.with_entry("log", {"name": log.name, "operator": log.operator, "sha256": log.sha256})
        write_file(home.logs / f"{log.sha256}.json", log.data)
        changed.write()


def update_log(home: TrustHome, name: str, data: bytes, at: datetime) -> TrustedLog:
    """Take a later description of a log, and return the log with it.

    Raises LogError where there is no log of that name, or where the description changes or leaves out a shard whose
    certificates can still be valid.
    """
    with locked(home.trust_file):
        text = _read(home.trust_file)
        index, entry = _log_named(text, name)
        known = loading.load(home).logs.logs
        earlier = known[index]
        later = TrustedLog(earlier.name, earlier.operator, earlier.source, data)
        earlier.require_successor(later, at)
        KnownLogs([*known[:index], later, *known[index + 1 :]])
        changed = text.with_value(("log", index, "sha256"), later.sha256)
        write_file(home.logs / f"{later.sha256}.json", data)
        changed.write()
        if entry.sha256 != later.sha256:
            unlink(home.logs / f"{entry.sha256}.json")
    return later


def remove_log(home: TrustHome, name: str) -> None:
    """Count a log's word no longer; raise LogError where there is none of that name, or an anchor is limited to it."""
    with locked(home.trust_file):
        text = _read(home.trust_file)
        index, entry = _log_named(text, name)
        for anchor in text.content.anchor:
            if name in (anchor.logs or ()):
                msg = (
                    f"{anchor.name} is limited to the log {name}: change that first, with `answerback trust constrain`"
                )
                raise LogError(msg)
        for auditor in text.content.auditor:
            if name in (auditor.logs or ()):
                msg = f"{auditor.name} audits the log {name} for you: remove that auditor first"
                raise LogError(msg)
        text.without_entry("log", index).write()
        unlink(home.logs / f"{entry.sha256}.json")


def require_new_subscription(home: TrustHome, entry: SubscriptionEntry) -> None:
    """Refuse to follow a list twice; raise ListError where its name or its root is there already."""
    _require_new_subscription(_read(home.trust_file), entry)


def add_subscription(home: TrustHome, entry: SubscriptionEntry) -> None:
    """Follow a curated list whose files are there; raise ListError where its name or its root is there already."""
    with locked(home.trust_file):
        text = _read(home.trust_file)
        _require_new_subscription(text, entry)
        usual = SubscriptionEntry(name=entry.name, url=entry.url, root=entry.root)
        values: dict[str, Value | None] = {"name": entry.name, "url": entry.url, "root": entry.root}
        values["auto_accept"] = entry.auto_accept if entry.auto_accept != usual.auto_accept else None
        values["grace_days"] = entry.grace_days if entry.grace_days != usual.grace_days else None
        text.with_entry("subscription", values).write()


def remove_subscription(home: TrustHome, name: str) -> None:
    """Follow a curated list no more; raise ListError where there is none of that name."""
    with locked(home.trust_file):
        text = _read(home.trust_file)
        for index, entry in enumerate(text.content.subscription):
            if entry.name == name:
                changed = text.without_entry("subscription", index)
                loading.require_sound(home, changed.text)
                changed.write()
                return
        msg = f"{home.trust_file} has no subscription {name!r}: `answerback trust list` shows those that it has"
        raise ListError(msg)


def _require_new_subscription(text: _Text, new: SubscriptionEntry) -> None:
    for entry in text.content.subscription:
        if new.root == entry.root or new.name == entry.name:
            msg = f"{text.path} has the list {entry.name} already: unsubscribe first, or choose another name"
            raise ListError(msg)


def add_witness(home: TrustHome, witness: WitnessEntry) -> None:
    """Count a witness's cosignatures; raise LogError where its name or its key is there already."""
    _add_watcher(home, "witness", witness)


def remove_witness(home: TrustHome, name: str) -> None:
    """Count a witness's cosignatures no longer; raise LogError where there is none of that name."""
    _remove_watcher(home, "witness", name)


def add_auditor(home: TrustHome, auditor: AuditorEntry) -> None:
    """Hold logs' indices to what an auditor confirms; raise LogError where its name or its key is there already."""
    _add_watcher(home, "auditor", auditor)


def remove_auditor(home: TrustHome, name: str) -> None:
    """Hold logs' indices to an auditor no longer; raise LogError where there is none of that name."""
    _remove_watcher(home, "auditor", name)


def _add_watcher(home: TrustHome, kind: str, new: WitnessEntry | AuditorEntry) -> None:
    with locked(home.trust_file):
        text = _read(home.trust_file)
        for entry in getattr(text.content, kind):
            if new.key == entry.key or new.name == entry.name:
                msg = f"{home.trust_file} has the {kind} {entry.name} already: remove it first, or choose another name"
                raise LogError(msg)
        changed = text.with_entry(kind, {key: getattr(new, key) for key in new.__struct_fields__})
        trust_file.parse(changed.text, home.trust_file)
        changed.write()


def _remove_watcher(home: TrustHome, kind: str, name: str) -> None:
    with locked(home.trust_file):
        text = _read(home.trust_file)
        for index, entry in enumerate(getattr(text.content, kind)):
            if entry.name == name:
                text.without_entry(kind, index).write()
                return
        msg = f"{home.trust_file} has no {kind} {name!r}: `answerback trust {kind} list` shows those that it has"
        raise LogError(msg)


def add_deny(home: TrustHome, deny: DenyEntry) -> bool:
    """Never believe what the entry names; tell whether that is new."""
    with locked(home.trust_file):
        text = _read(home.trust_file)
        if any(_is_of_the_same(entry, deny) for entry in text.content.deny):
            return False
        values = {key: getattr(deny, key) for key in deny.__struct_fields__}
        text.with_entry("deny", values).write()
        return True


def remove_deny(home: TrustHome, deny: DenyEntry) -> bool:
    """Take a deny back; tell whether there was one."""
    with locked(home.trust_file):
        text = _read(home.trust_file)
        found = [index for index, entry in enumerate(text.content.deny) if _is_of_the_same(entry, deny)]
        for index in reversed(found):
            text = text.without_entry("deny", index)
        text.write()
        return bool(found)


_Text: TypeAlias = TomlText[TrustFileContent]


def _read(path: Path) -> _Text:
    text = trust_file.read_text(path)
    return TomlText(path, _BEGINNING if text is None else text, trust_file.parse_content)


def _anchor_named(text: _Text, name: str) -> tuple[int, AnchorEntry]:
    for index, entry in enumerate(text.content.anchor):
        if entry.name == name:
            return index, entry
    raise _no_anchor(text, name)


def _no_anchor(text: _Text, name: str) -> AnchorError:
    return AnchorError(f"{text.path} has no anchor {name!r}: `answerback trust list` shows those that it has")


def _log_named(text: _Text, name: str) -> tuple[int, LogEntry]:
    for index, entry in enumerate(text.content.log):
        if entry.name == name:
            return index, entry
    msg = f"{text.path} has no log {name!r}: `answerback trust log list` shows those that it has"
    raise LogError(msg)


def _require_known_logs(text: _Text, names: tuple[str, ...]) -> None:
    for name in names:
        _log_named(text, name)


def _is_of_the_same(one: DenyEntry, other: DenyEntry) -> bool:
    return (one.number, one.prefix, one.certificate) == (other.number, other.prefix, other.certificate)
