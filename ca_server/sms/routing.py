"""Which gateways a message may go by: in order, and never both halves of a code by one operator."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from ca_server.config import Gateway
from ca_server.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Routes:
    """The gateways of each route, best first.

    With two routes each operator belongs to one of them for good. Whatever fails over to whatever, in this ask or a
    later one, no operator ever sees a message of both routes; a choice made message by message could not promise that.
    """

    gateways: tuple[tuple[Gateway, ...], ...]

    @classmethod
    def from_config(cls, gateways: Sequence[Gateway], min_routes: int = 1) -> Self:
        """Deal the gateways out, in the order of the configuration.

        With two routes the first operator named gets route 0, the second route 1, and so on in turn. Raises
        ConfigurationError where two gateways have one name, or there are fewer operators than routes.
        """
        _refuse_repeated_names(gateways)
        operators = list(dict.fromkeys(_operator(gateway) for gateway in gateways))
        if len(operators) < min_routes:
            msg = (
                f"gateways: policy.min_routes is {min_routes}, and the gateways have {len(operators)} distinct "
                "operators; add a [[gateways]] table of another operator"
            )
            raise ConfigurationError(msg)
        route_of = {operator: index % min_routes for index, operator in enumerate(operators)}
        return cls(
            tuple(
                tuple(gateway for gateway in gateways if route_of[_operator(gateway)] == route)
                for route in range(min_routes)
            )
        )

    @property
    def count(self) -> int:
        """How many routes a code travels by."""
        return len(self.gateways)

    def sender(self, route: int) -> str:
        """Return the address that the phone shows, unless the route's first gateway fails."""
        return self.gateways[route][0].sender

    def sender_of(self, gateway: str) -> str | None:
        """Return the address that the phone shows for a message that went by the gateway of this name."""
        return next((one.sender for route in self.gateways for one in route if one.name == gateway), None)

    def names(self, route: int, avoid: Collection[str] = ()) -> tuple[str, ...]:
        """Return the names of the route's gateways in the order to try them, those in `avoid` last.

        There are none for a route that the configuration no longer has.
        """
        if route >= self.count:
            return ()
        return tuple(gateway.name for gateway in sorted(self.gateways[route], key=lambda one: one.name in avoid))


def _refuse_repeated_names(gateways: Iterable[Gateway]) -> None:
    seen: set[str] = set()
    for gateway in gateways:
        if gateway.name in seen:
            msg = f"gateways: two are named {gateway.name!r}; give each a name of its own"
            raise ConfigurationError(msg)
        seen.add(gateway.name)


def _operator(gateway: Gateway) -> str:
    """Return the operator's name, such that two spellings of one name are not taken for two operators."""
    return " ".join(gateway.operator.split()).casefold()
