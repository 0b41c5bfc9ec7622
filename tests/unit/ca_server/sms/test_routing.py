from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_server.config import Gateway
from ca_server.errors import ConfigurationError
from ca_server.sms.routing import Routes


def a_gateway(name: str, operator: str = "One", sender: str = "") -> Gateway:
    """Return the table of a gateway."""
    return Gateway(name, "outbox", operator, sender or name.upper())


operators = st.lists(st.sampled_from(["One", "Two", "Three", "Four"]), min_size=1, max_size=8)


def test_one_route_tries_the_gateways_in_the_order_of_the_configuration() -> None:
    """The operator's first choice is tried first."""
    routes = Routes.from_config([a_gateway("b"), a_gateway("a", "Two"), a_gateway("c")])
    assert routes.count == 1
    assert routes.names(0) == ("b", "a", "c")
    assert routes.sender(0) == "B"


def test_gateways_to_avoid_are_tried_last() -> None:
    """A gateway that may have failed this person is the last resort, not excluded."""
    routes = Routes.from_config([a_gateway("a"), a_gateway("b"), a_gateway("c")])
    assert routes.names(0, avoid=("a", "b")) == ("c", "a", "b")


@given(operators)
def test_two_routes_never_share_an_operator(names: list[str]) -> None:
    """Whatever fails over to whatever, no operator can see both halves of a code."""
    gateways = [a_gateway(f"g{index}", operator) for index, operator in enumerate(names)]
    if len(set(names)) == 1:
        with pytest.raises(ConfigurationError, match="1 distinct operators"):
            Routes.from_config(gateways, 2)
        return
    routes = Routes.from_config(gateways, 2)
    operator_of = {gateway.name: gateway.operator for gateway in gateways}
    first, second = ({operator_of[name] for name in routes.names(route)} for route in (0, 1))
    assert first
    assert second
    assert not first & second
    assert {*routes.names(0), *routes.names(1)} == set(operator_of)


@pytest.mark.parametrize("spelling", ["one", "ONE", " One ", "o" + "NE"])
def test_another_spelling_is_no_other_operator(spelling: str) -> None:
    """Case and spaces do not make a second operator of one."""
    with pytest.raises(ConfigurationError, match=r"add a \[\[gateways\]\] table"):
        Routes.from_config([a_gateway("a", "One"), a_gateway("b", spelling)], 2)


def test_without_a_gateway_there_is_no_route() -> None:
    """An authority that cannot send is told so before it starts."""
    with pytest.raises(ConfigurationError, match="0 distinct operators"):
        Routes.from_config([])


def test_two_gateways_of_one_name_are_refused() -> None:
    """A receipt names its gateway, so a name means one."""
    with pytest.raises(ConfigurationError, match="two are named 'a'"):
        Routes.from_config([a_gateway("a"), a_gateway("a", "Two")])


def test_a_route_that_is_no_more_has_no_gateways() -> None:
    """A half that was queued before min_routes became 1 goes nowhere, rather than by the operator of the other."""
    assert Routes.from_config([a_gateway("a")]).names(1) == ()


def test_the_sender_of_the_gateway_that_was_used_is_known() -> None:
    """After a fail-over the client can be told the address that the phone really shows."""
    routes = Routes.from_config([a_gateway("a"), a_gateway("b", "Two", "+12025550100")])
    assert routes.sender_of("b") == "+12025550100"
    assert routes.sender_of("gone") is None
