"""Which word counts where several stand: the user's own file, curated lists, and what an app ships.

    the user's deny
    > the user's constraints ∩ each list's constraints
    > that some layer names the anchor

A deny of any layer holds. A list names anchors and narrows: it never widens what the user, the app or another list
says. An anchor that only lists name stands on the one of them that holds longest. What an app ships are defaults: the
user's own entry for an anchor, value of a setting, or quorum stands in their place, and with `app_defaults = false`
nothing of the app's counts. Nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from policies.quorum import Group, Quorum
from policies.terms import Deny, Settings, Standing, Terms
from policies.transitions import Transition
from stir.telephone_number import NumberPrefix


class LayerKind(StrEnum):
    """Whose word a layer is."""

    LOCAL = "local"
    """The user's own."""
    LIST = "list"
    """A curator's, to whose list the user subscribed."""
    APP = "app"
    """An app's, shipped with it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """That a layer names an anchor, by the SHA-256 of its certificate in hexadecimal, and on which terms."""

    sha256: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says. `name` is the list's or the app's.

    `limits` are terms for anchors that another layer offers: they narrow, and offer nothing. `given` are the settings
    that the layer gives, each with the place where it stands. Of a list, only offers, limits, denies and transitions
    count.
    """

    kind: LayerKind
    name: str = ""
    offers: tuple[Offer, ...] = ()
    limits: tuple[Offer, ...] = ()
    denies: tuple[Deny, ...] = ()
    given: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    quorums: tuple[Quorum, ...] = ()
    transitions: tuple[Transition, ...] = ()
    app_defaults: bool = True


@dataclass(frozen=True, slots=True)
class Effective:
    """What counts in the end. The anchors' names are distinct: one that is taken already gets `@` and the layer's."""

    offers: tuple[Offer, ...] = ()
    denies: tuple[Deny, ...] = ()
    settings: Settings = field(default_factory=Settings)
    groups: tuple[Group, ...] = ()
    quorums: tuple[Quorum, ...] = ()
    transitions: tuple[Transition, ...] = ()


def effective(layers: Iterable[Layer]) -> Effective:
    """Return what counts of some layers; several may be lists."""
    by_kind: dict[LayerKind, list[Layer]] = {kind: [] for kind in LayerKind}
    for layer in layers:
        by_kind[layer.kind].append(layer)
    own, lists = by_kind[LayerKind.LOCAL], by_kind[LayerKind.LIST]
    apps = by_kind[LayerKind.APP] if all(layer.app_defaults for layer in own) else []
    counted = [*own, *lists, *apps]
    settings = _settings([*own, *apps])
    asking = own if any(layer.quorums or layer.groups for layer in own) else apps
    return Effective(
        offers=tuple(_named_apart(_offers(own, lists, apps, settings))),
        denies=tuple(deny for layer in counted for deny in layer.denies),
        settings=settings,
        groups=tuple(group for layer in asking for group in layer.groups),
        quorums=tuple(quorum for layer in asking for quorum in layer.quorums),
        transitions=tuple(one for layer in counted for one in layer.transitions),
    )


def narrowed(terms: Terms, other: Terms, settings: Settings) -> Terms:
    """Return terms that allow what both allow. Each constraint keeps the place of the one that decides it."""
    values: dict[str, Any] = {
        "prefixes": _both(terms.prefixes, other.prefixes, _common_prefixes),
        "purposes": _both(terms.purposes, other.purposes, _common),
        "issued_not_after": _both(terms.issued_not_after, other.issued_not_after, min),
        "until": _both(terms.until, other.until, min),
        "methods": _both(terms.methods, other.methods, _common),
        "longest_life": _both(terms.longest_life, other.longest_life, min),
        "authority_keys": _both(terms.authority_keys, other.authority_keys, _common),
        "scts": _more_scts(terms, other, settings),
        "logs": _both(terms.logs, other.logs, _common),
        "log_operators": _both(terms.log_operators, other.log_operators, _common),
    }
    changed = [key for key, value in values.items() if value != getattr(terms, key)]
    decided = {key: _place(key, values[key], terms, other) for key in changed}
    return replace(terms, sources=dict(terms.sources) | decided, **values)


def widened(terms: Terms, agreed: Terms) -> tuple[str, ...]:
    """Return the constraints in which terms allow something that others, to which the user agreed, do not."""
    return tuple(key for key in _CONSTRAINTS if _is_wider(key, getattr(terms, key), getattr(agreed, key)))


_CONSTRAINTS = (
    "prefixes",
    "purposes",
    "issued_not_after",
    "until",
    "methods",
    "longest_life",
    "authority_keys",
    "scts",
    "logs",
    "log_operators",
)


def _is_wider(key: str, value: Any, agreed: Any) -> bool:  # noqa: ANN401  # any constraint's
    if value is None or agreed is None:
        return agreed is not None and value is None
    if key == "prefixes":
        return not all(any(one.digits.startswith(other.digits) for other in agreed) for one in value)
    if isinstance(value, tuple):
        return not set(value) <= set(agreed)
    return bool(value < agreed if key == "scts" else value > agreed)


def _offers(
    own: Sequence[Layer], lists: Sequence[Layer], apps: Sequence[Layer], settings: Settings
) -> Iterator[tuple[Layer, Offer]]:
    """Yield each anchor once: on the terms of the first layer that offers it, narrowed by whoever else has a say."""
    seen: set[str] = set()
    for layer in (*own, *lists, *apps):
        for offer in layer.offers:
            if offer.sha256 in seen:
                continue
            seen.add(offer.sha256)
            narrowing = [*own, *lists] if layer.kind is LayerKind.LOCAL else [*own, *lists, *apps]
            terms = offer.terms if layer.kind is LayerKind.LOCAL else _not_below(offer.terms, settings)
            for other in _said_of(offer.sha256, narrowing):
                terms = terms if other is offer.terms else narrowed(terms, other, settings)
            standing = _standing(offer.sha256, (*own, *lists, *apps))
            yield layer, Offer(offer.sha256, replace(terms, standing=standing))


def _not_below(terms: Terms, settings: Settings) -> Terms:
    """Return terms of a list or an app, which may raise the count of timestamps and not lower it."""
    return replace(terms, scts=None) if terms.scts is not None and terms.scts < settings.scts else terms


def _standing(sha256: str, layers: Iterable[Layer]) -> Standing | None:
    """Return the standing of the list whose word holds longest; None where somebody else names the anchor."""
    named = [offer.terms.standing for layer in layers for offer in layer.offers if offer.sha256 == sha256]
    standings = [one for one in named if one is not None]
    return None if len(standings) < len(named) else max(standings, key=lambda one: one.ends)


def _said_of(sha256: str, layers: Iterable[Layer]) -> Iterator[Terms]:
    for layer in layers:
        for offer in (*layer.offers, *layer.limits):
            if offer.sha256 == sha256:
                yield offer.terms


def _named_apart(offers: Iterable[tuple[Layer, Offer]]) -> Iterator[Offer]:
    taken: set[str] = set()
    for layer, offer in offers:
        name = offer.terms.name
        while name in taken:
            name = f"{name}@{layer.name or layer.kind}"
        taken.add(name)
        yield offer if name == offer.terms.name else Offer(offer.sha256, replace(offer.terms, name=name))


def _settings(layers: Iterable[Layer]) -> Settings:
    """Return each setting as the first layer that gives it says, the user's own before an app's."""
    given: dict[str, tuple[Any, str]] = {}
    for layer in layers:
        given = dict(layer.given) | given
    values = {key: value for key, (value, _) in given.items()}
    return Settings(**values, sources={key: place for key, (_, place) in given.items()})


def _place(key: str, value: object, terms: Terms, other: Terms) -> str:
    """Return where a constraint stands that is not `terms`'s alone: at the other's, or where each says a part of it."""
    places = [other.source_of(key)] if value == getattr(other, key) else [terms.source_of(key), other.source_of(key)]
    return " and ".join(places)


def _both(one: Any, other: Any, narrower: Any) -> Any:  # noqa: ANN401  # any constraint's
    """Return the narrower of two constraints; None limits nothing."""
    if one is None or other is None:
        return other if one is None else one
    return narrower(one, other)


def _common(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value for value in one if value in other)


def _common_prefixes(one: tuple[NumberPrefix, ...], other: tuple[NumberPrefix, ...]) -> tuple[NumberPrefix, ...]:
    """Return the prefixes of the numbers that both allow: of two that overlap, the longer."""
    pairs = ((a, b) if len(a.digits) >= len(b.digits) else (b, a) for a in one for b in other)
    return tuple(dict.fromkeys(longer for longer, shorter in pairs if longer.digits.startswith(shorter.digits)))


def _more_scts(terms: Terms, other: Terms, settings: Settings) -> int | None:
    asked = settings.scts if terms.scts is None else terms.scts
    return other.scts if other.scts is not None and other.scts > asked else terms.scts
