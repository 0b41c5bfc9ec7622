from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from answerback.demo.errors import DemoError
from answerback.demo.mobile_network import MobileNetwork
from ca_server.config import Gateway
from ca_server.orders import Delivery
from ca_server.sms.gateway import OutgoingSms
from ca_server.sms.smpp_gateway import SmppGateway
from stir.telephone_number import TelephoneNumber
from tests.fakes.sms_queue import MemorySmsQueue
from tests.fakes.smsc import eventually

ALICE = TelephoneNumber.parse("+12025550123")
MALLORY = TelephoneNumber.parse("+13035550142")


@pytest.fixture(params=[True], ids=["receipts"])
def network(request: pytest.FixtureRequest) -> Iterator[MobileNetwork]:
    """Run a mobile network."""
    with MobileNetwork(receipts=request.param) as running:
        yield running


@pytest.fixture
def queue() -> MemorySmsQueue:
    """Return a queue for the receipts."""
    return MemorySmsQueue()


@pytest.fixture
def gateway(network: MobileNetwork, queue: MemorySmsQueue, tmp_path: Path) -> Iterator[SmppGateway]:
    """Return a gateway that is bound to the network."""
    (tmp_path / "password").write_text("demo")
    options = {"host": "127.0.0.1", "port": network.port, "system_id": "ca", "password_file": "password"}
    opened = SmppGateway(Gateway("demo", "smpp", "Demo Mobile", "Example CA", options), tmp_path)
    opened.start(queue.receipt)
    yield opened
    opened.close()


def an_sms(to: TelephoneNumber, text: str) -> OutgoingSms:
    """Return a message that lives for ten minutes."""
    return OutgoingSms(text, to, text, datetime.now(UTC) + timedelta(minutes=10))


def test_messages_reach_the_phone_they_are_for_in_order(network: MobileNetwork, gateway: SmppGateway) -> None:
    """A person reads one message after the other, on the phone of the number they were sent to."""
    for text in ("first @ {}", "второй"):
        gateway.send(an_sms(ALICE, text))
    assert [network.phone(ALICE).wait_for_sms(), network.phone(ALICE).wait_for_sms()] == ["first @ {}", "второй"]


def test_a_rerouted_message_reaches_the_other_phone(network: MobileNetwork, gateway: SmppGateway) -> None:
    """Somebody in the network can take a number's messages, until it ends."""
    network.reroute(ALICE, MALLORY)
    gateway.send(an_sms(ALICE, "taken"))
    assert network.phone(MALLORY).wait_for_sms() == "taken"
    network.reroute(ALICE, None)
    gateway.send(an_sms(ALICE, "hers again"))
    assert network.phone(ALICE).wait_for_sms() == "hers again"


@pytest.mark.parametrize("network", [True, False], indirect=True, ids=["receipts", "no receipts"])
def test_the_network_reports_unless_told_otherwise(
    network: MobileNetwork, gateway: SmppGateway, queue: MemorySmsQueue, request: pytest.FixtureRequest
) -> None:
    """A message is reported as delivered, or nothing is said."""
    message_id = gateway.send(an_sms(ALICE, "hello"))
    network.phone(ALICE).wait_for_sms()
    if "no receipts" not in request.node.name:
        eventually(lambda: ("demo", message_id) in queue.early_receipts, "the receipt comes")
        assert queue.early_receipts["demo", message_id] is Delivery.DELIVERED


def test_a_phone_that_gets_nothing_says_so(network: MobileNetwork) -> None:
    """Waiting for an SMS ends, and the message masks the number."""
    with pytest.raises(DemoError, match=r"no SMS reached the phone \+120\*{6}23 within 0.01 seconds"):
        network.phone(ALICE).wait_for_sms(0.01)
