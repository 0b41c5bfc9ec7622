"""How many of the user's authorities must have certified one key: groups as in C2SP `tlog-policy`, and when they count.

A group is met where `need` of its members are; a member is an anchor or a group that is defined before. Within a group,
anchors of one operator are one member. Below a quorum each name stands once, and each operator in one group, so that an
operator helps to meet it in one way only.

What is counted are the authorities that signed the number's certificates. An authority that two roots certify is one
opinion, however many paths lead from it: it counts for one anchor, whichever meets the quorum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, product

from policies.errors import PolicyError
from policies.facts import Use
from policies.terms import Purpose
from policies.verdicts import Finding, Rule, refused
from stir.telephone_number import NumberPrefix

MOST_WAYS = 256
"""In how many ways opinions are counted for anchors, where several anchors lie above one authority."""

ALL = "all"
ANY = "any"


@dataclass(frozen=True, slots=True)
class Group:
    """A named group: `need` of its members must be met, a number, `all` or `any`."""

    name: str
    need: int | str
    members: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Quorum:
    """What a number's key must have been certified by, in some cases.

    `group` is a group's name or an anchor's. It is asked for numbers that begin with one of the `prefixes`, for these
    `purposes`, in these `apps`; a scope that is None takes in all.
    """

    group: str
    source: str
    prefixes: tuple[NumberPrefix, ...] | None = None
    purposes: tuple[Purpose, ...] | None = None
    apps: tuple[str, ...] | None = None

    def is_for(self, use: Use) -> bool:
        """Tell whether it is asked for a use; certificates alone are asked about as for every use."""
        return (
            (self.prefixes is None or any(prefix.covers(use.number) for prefix in self.prefixes))
            and (self.purposes is None or use.purpose is None or use.purpose in self.purposes)
            and (self.apps is None or (use.app in self.apps))
        )


@dataclass(frozen=True, slots=True)
class Opinion:
    """That one authority certified the number's key, and the anchors that lead to it, the nearest first.

    `authority` names the key that signed the number's certificate: SHA-256, in hexadecimal.
    """

    authority: str
    anchors: tuple[str, ...]


@dataclass(frozen=True)
class Quorums:
    """The groups and quorums of one user, with the operators of the user's anchors by the anchors' names.

    Where anchors `may_be_missing`, since a list that has them may drop them, a name that is not there is an anchor that
    certifies nothing. Raises PolicyError where they do not hold together; the message begins with the line.
    """

    groups: tuple[Group, ...] = ()
    quorums: tuple[Quorum, ...] = ()
    operators: Mapping[str, str] = field(default_factory=dict)
    may_be_missing: bool = False

    def __post_init__(self) -> None:
        """Hold the groups to `tlog-policy`."""
        defined = set(self.operators)
        for group in self.groups:
            _require(group.name not in defined, group.source, f"the name {group.name!r} is taken")
            for member in group.members:
                _require(
                    member in defined or (self.may_be_missing and member not in self._by_name),
                    group.source,
                    f"{member!r} is no anchor, and no group that stands above; a group names what comes before it",
                )
            capacity = len(self._units(group))
            _require(
                isinstance(group.need, str) or 1 <= group.need <= capacity,
                group.source,
                f"it needs {group.need} of {capacity}; anchors of one operator count once",
            )
            defined.add(group.name)
        for quorum in self.quorums:
            _require(
                quorum.group in defined or self.may_be_missing,
                quorum.source,
                f"{quorum.group!r} is no anchor and no group",
            )
            self._require_each_once(quorum)

    @cached_property
    def _by_name(self) -> Mapping[str, Group]:
        return {group.name: group for group in self.groups}

    def judge(self, use: Use, opinions: Iterable[Opinion], against: Iterable[str] = ()) -> Finding:
        """Refuse a use for which too few distinct operators certified the key.

        `against` says of each certificate that does not count why it does not.
        """
        asked = self.asked(use)
        if not asked:
            return _NONE_ASKED
        given = tuple(opinions)
        certified = self._in_words(name for opinion in given for name in opinion.anchors[:1])
        for quorum in asked:
            if not self._is_met(quorum, given):
                others = "".join(f"; another certificate does not count: {reason}" for reason in against)
                reason = f"you ask for {self.in_words(quorum.group)}, and this key was certified by {certified}{others}"
                return refused(Rule.QUORUM, reason, quorum.source)
        return Finding(Rule.QUORUM, f"this key was certified by {certified}", source=asked[0].source)

    def asked(self, use: Use) -> tuple[Quorum, ...]:
        """Return the quorums that a use must meet."""
        return tuple([quorum for quorum in self.quorums if quorum.is_for(use)]) if self.quorums else ()

    def can_be_met(self, quorum: Quorum, anchors: Iterable[str]) -> bool:
        """Tell whether a quorum could be met by these anchors at all."""
        return self._holds(quorum.group, frozenset(anchors))

    def in_words(self, name: str) -> str:
        """Say what a group asks for."""
        group = self._by_name.get(name)
        if group is None:
            return name
        capacity = len(self._units(group))
        need = {ALL: capacity, ANY: 1}.get(str(group.need), group.need)
        members = ", ".join(self._by_name[one].name if one in self._by_name else one for one in group.members)
        return f"{need} of {capacity} of {name} ({members})"

    def _is_met(self, quorum: Quorum, opinions: Sequence[Opinion]) -> bool:
        counted = {opinion.authority: _merged(opinions, opinion.authority) for opinion in opinions}
        ways = islice(product(*counted.values()), MOST_WAYS)
        return any(self._holds(quorum.group, frozenset(way)) for way in ways)

    def _holds(self, name: str, anchors: frozenset[str]) -> bool:
        group = self._by_name.get(name)
        if group is None:
            return name in anchors
        units = self._units(group)
        met = sum(any(self._holds(member, anchors) for member in members) for members in units)
        return met >= {ALL: len(units), ANY: 1}.get(str(group.need), group.need)  # type: ignore[operator]

    def _units(self, group: Group) -> list[list[str]]:
        """Return what counts in a group: each group in it, and the anchors of each operator together."""
        units: dict[tuple[str, str], list[str]] = {}
        for member in group.members:
            operator = self.operators.get(member)
            key = ("group", member) if operator is None else ("operator", operator)
            units.setdefault(key, []).append(member)
        return list(units.values())

    def _require_each_once(self, quorum: Quorum) -> None:
        names: set[str] = set()
        groups_of_operators: dict[str, str] = {}
        for group, member in self._below(quorum.group):
            _require(member not in names, quorum.source, f"{member!r} stands in it twice")
            names.add(member)
            operator = self.operators.get(member)
            if operator is not None:
                other = groups_of_operators.setdefault(operator, group)
                _require(other == group, quorum.source, f"{operator} stands in two groups of it: {other} and {group}")

    def _below(self, name: str) -> Iterator[tuple[str, str]]:
        group = self._by_name.get(name)
        for member in () if group is None else group.members:
            yield name, member
            yield from self._below(member)

    def _in_words(self, names: Iterable[str]) -> str:
        told = dict.fromkeys(f"{name} ({self.operators[name]})" if name in self.operators else name for name in names)
        return " and ".join(told) or "none of your anchors"


_NONE_ASKED = Finding(Rule.QUORUM, "one anchor is enough: you ask for no quorum here")


def _merged(opinions: Iterable[Opinion], authority: str) -> tuple[str, ...]:
    """Return the anchors above one authority, by all paths."""
    return tuple(dict.fromkeys(name for one in opinions if one.authority == authority for name in one.anchors))


def _require(holds: bool, source: str, message: str) -> None:
    if not holds:
        msg = f"{source}: {message}"
        raise PolicyError(msg)
