"""From files to what a trust store is made of: the user's own, curated lists, and what an app ships.

Each layer is read with the certificates and descriptions that it names; `policies.precedence` says which word counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography import x509

from policies.errors import PolicyError
from policies.precedence import Effective, Layer, LayerKind, Offer, effective
from policies.quorum import Quorums
from policies.terms import Deny, Settings, Terms
from policies.transitions import Transition, Transitions
from stir.certificate_chain import read_pem_chain
from stir.errors import StirError
from transparency.cosignature import CosignatureVerifier
from trust_store import trust_file
from trust_store.anchors import Anchor
from trust_store.entries import LogEntry
from trust_store.errors import AnchorError, LogError, TrustFileError
from trust_store.feeds import read_feed
from trust_store.home import TrustHome
from trust_store.logs import KnownLogs, TrustedAuditor, TrustedLog, TrustedWitness
from trust_store.subscriptions.layer import ListLayer, SubscribedList, list_layer
from trust_store.trust_file import Beliefs


@dataclass(frozen=True, slots=True)
class StoreLayer:
    """One source's word, with the certificates and the descriptions of logs that it names.

    `files` are those that were read for it: when one of them changes, the layer may.
    """

    layer: Layer
    certificates: Mapping[str, x509.Certificate] = field(default_factory=dict)
    logs: tuple[TrustedLog, ...] = ()
    witnesses: tuple[TrustedWitness, ...] = ()
    auditors: tuple[TrustedAuditor, ...] = ()
    files: tuple[Path, ...] = ()
    subscribed: SubscribedList | None = None


@dataclass(frozen=True, slots=True)
class StoreParts:
    """What a trust store is made of, and the files that were read for it."""

    anchors: tuple[Anchor, ...]
    quorums: Quorums
    denies: tuple[Deny, ...]
    settings: Settings
    transitions: Transitions
    logs: KnownLogs
    files: tuple[Path, ...]
    lists: tuple[SubscribedList, ...] = ()


def load(home: TrustHome, defaults: Path | None = None) -> StoreParts:
    """Read a store's files, and the `trust.toml` of an app's `defaults`. Raises TrustFileError.

    A store without a `trust.toml` is empty.
    """
    return combined(home, layers(home, defaults))


def layers(home: TrustHome, defaults: Path | None = None) -> tuple[StoreLayer, ...]:
    """Return all layers that have a say for a user, the user's own first."""
    own = trust_file.read(home.trust_file)
    return of_beliefs(home, own), *others(home, own, defaults)


def others(home: TrustHome, own: Beliefs, defaults: Path | None = None) -> tuple[StoreLayer, ...]:
    """Return the layers beside the user's own file: the lists that it names, and an app's defaults."""
    lists = tuple(_of_list(list_layer(home, entry, place)) for entry, place in own.subscriptions)
    return lists if defaults is None else (*lists, of_file(TrustHome.beside(defaults), LayerKind.APP))


def _of_list(found: ListLayer) -> StoreLayer:
    return StoreLayer(
        layer=found.layer,
        certificates=found.certificates,
        logs=found.logs,
        witnesses=found.witnesses,
        files=found.files,
        subscribed=found.subscribed,
    )


def of_file(home: TrustHome, kind: LayerKind) -> StoreLayer:
    """Read a `trust.toml` with all that it names."""
    return of_beliefs(home, trust_file.read(home.trust_file, kind))


def of_beliefs(home: TrustHome, beliefs: Beliefs) -> StoreLayer:
    """Read what a `trust.toml` names."""
    offers = beliefs.layer.offers
    fed = tuple(one for path, place in beliefs.feeds for one in read_feed(path, home.trust_file.parent / place))
    layer = beliefs.layer if not fed else _with_transitions(beliefs.layer, fed)
    return StoreLayer(
        layer=layer,
        certificates={offer.sha256: _certificate(home, offer.sha256, offer.terms) for offer in offers},
        logs=tuple(_log(home, entry, source) for entry, source in beliefs.logs),
        witnesses=beliefs.witnesses,
        auditors=beliefs.auditors,
        files=(home.trust_file, *(path for path, _ in beliefs.feeds)),
    )


def combined(home: TrustHome, found: Sequence[StoreLayer]) -> StoreParts:
    """Return what counts of all layers. Raises TrustFileError."""
    found = with_one_name_for_each_log(found)
    counts = effective(one.layer for one in found)
    certificates = {sha256: made for one in found for sha256, made in one.certificates.items()}
    apart = [one for one in found if one.layer.kind is not LayerKind.APP or found[0].layer.app_defaults]
    try:
        logs = KnownLogs(
            _each_once(log for one in apart for log in one.logs),
            _each_key_once(witness for one in apart for witness in one.witnesses),
            [auditor for one in apart for auditor in one.auditors],
        )
    except LogError as error:
        msg = f"{home.trust_file}: {error}"
        raise TrustFileError(msg) from error
    return StoreParts(
        anchors=tuple(Anchor(offer.terms, certificates[offer.sha256]) for offer in counts.offers),
        quorums=quorums_of(home, counts, found),
        denies=counts.denies,
        settings=counts.settings,
        transitions=Transitions.of(counts.transitions),
        logs=logs,
        files=tuple(path for one in found for path in one.files),
        lists=tuple(one.subscribed for one in found if one.subscribed is not None),
    )


def quorums_of(home: TrustHome, counts: Effective, found: Iterable[StoreLayer]) -> Quorums:
    """Hold groups and quorums to the anchors that there are; those of a list may go without notice."""
    operators = {offer.terms.name: offer.terms.operator for offer in counts.offers}
    has_lists = any(one.layer.kind is LayerKind.LIST for one in found)
    try:
        return Quorums(counts.groups, counts.quorums, operators, may_be_missing=has_lists)
    except PolicyError as error:
        msg = f"{home.trust_file.parent / str(error)}"
        raise TrustFileError(msg) from error


def require_sound(home: TrustHome, text: str) -> None:
    """Refuse a text of the user's `trust.toml` that does not fit to the other layers; raise TrustFileError."""
    own = trust_file.parse(text, home.trust_file)
    found = (StoreLayer(own.layer), *others(home, own))
    quorums_of(home, effective(one.layer for one in found), found)


def offer_named(home: TrustHome, text: str, name: str) -> str | None:
    """Return the SHA-256 of the anchor that goes by a name, with a text of the user's `trust.toml`."""
    own = trust_file.parse(text, home.trust_file)
    counts = effective((own.layer, *(one.layer for one in others(home, own))))
    return next((offer.sha256 for offer in counts.offers if offer.terms.name == name), None)


def _with_transitions(layer: Layer, fed: tuple[Transition, ...]) -> Layer:
    return replace(layer, transitions=(*layer.transitions, *fed))


def with_one_name_for_each_log(found: Sequence[StoreLayer]) -> tuple[StoreLayer, ...]:
    """Call a list's logs what the user, an app or an earlier list calls them, and its limits to logs alike.

    Distinct operators are counted, so that one log of two names would count as two. A log is known again by a shard.
    """
    known: list[TrustedLog] = [log for one in found if one.layer.kind is not LayerKind.LIST for log in one.logs]
    done: list[StoreLayer] = []
    for one in found:
        if one.layer.kind is LayerKind.LIST:
            logs = [_as_known(log, known, one.layer.name) for log in one.logs]
            known.extend(logs)
            done.append(_renamed(one, tuple(logs)))
        else:
            done.append(one)
    return tuple(done)


def _as_known(log: TrustedLog, known: Sequence[TrustedLog], layer: str) -> TrustedLog:
    shards = {shard.log_id for shard in log.description.shards}
    for other in known:
        if shards & {shard.log_id for shard in other.description.shards}:
            return replace(log, name=other.name, operator=other.operator)
    name = log.name
    while any(name == other.name for other in known):
        name = f"{name}@{layer}"
    return replace(log, name=name)


def _renamed(one: StoreLayer, logs: tuple[TrustedLog, ...]) -> StoreLayer:
    names = {old.name: new.name for old, new in zip(one.logs, logs, strict=True)}
    operators = {old.operator: new.operator for old, new in zip(one.logs, logs, strict=True)}

    def renamed(offer: Offer) -> Offer:
        terms = offer.terms
        named = None if terms.logs is None else tuple(names.get(name, name) for name in terms.logs)
        run_by = None if terms.log_operators is None else tuple(operators.get(by, by) for by in terms.log_operators)
        return replace(offer, terms=replace(terms, logs=named, log_operators=run_by))

    offers, limits = (tuple(map(renamed, said)) for said in (one.layer.offers, one.layer.limits))
    return replace(one, layer=replace(one.layer, offers=offers, limits=limits), logs=logs)


def _each_key_once(witnesses: Iterable[TrustedWitness]) -> list[TrustedWitness]:
    """Keep each witness by the name and the operator that the first layer has for it."""
    by_key: dict[CosignatureVerifier, TrustedWitness] = {}
    for witness in witnesses:
        by_key.setdefault(witness.key, witness)
    return list(by_key.values())


def _each_once(logs: Iterable[TrustedLog]) -> Iterator[TrustedLog]:
    """Yield each log once that several layers name."""
    seen: set[str] = set()
    for log in logs:
        if log.sha256 not in seen:
            seen.add(log.sha256)
            yield log


def _certificate(home: TrustHome, sha256: str, terms: Terms) -> x509.Certificate:
    """Read an anchor's certificate from the folder, and make sure that it is the one that the user named."""
    path = home.anchors / f"{sha256}.pem"
    place = home.trust_file.parent / terms.source
    try:
        (certificate,) = read_pem_chain(path.read_bytes())
        Anchor(terms, certificate).require(sha256)
    except FileNotFoundError as error:
        msg = f"{place}: the certificate of {terms.name} is missing: {path}; add the anchor again, or remove it"
        raise TrustFileError(msg) from error
    except OSError as error:
        msg = f"{place}: the certificate of {terms.name} cannot be read: {path}: {error.strerror}"
        raise TrustFileError(msg) from error
    except (StirError, AnchorError, ValueError) as error:
        msg = f"{place}: {path} is not the certificate of {terms.name}: {error}"
        raise TrustFileError(msg) from error
    return certificate


def _log(home: TrustHome, entry: LogEntry, source: str) -> TrustedLog:
    """Read a log's description from the folder, and make sure that it is the one that the user named."""
    path = home.logs / f"{entry.sha256}.json"
    place = home.trust_file.parent / source
    try:
        log = TrustedLog(entry.name, entry.operator, source, path.read_bytes())
        log.require(entry.sha256)
    except FileNotFoundError as error:
        msg = f"{place}: the description of {entry.name} is missing: {path}; add the log again, or remove it"
        raise TrustFileError(msg) from error
    except OSError as error:
        msg = f"{place}: the description of {entry.name} cannot be read: {path}: {error.strerror}"
        raise TrustFileError(msg) from error
    except LogError as error:
        msg = f"{place}: {path} is not the description of {entry.name}: {error}"
        raise TrustFileError(msg) from error
    return log
