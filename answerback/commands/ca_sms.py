"""`answerback ca sms`: the gateways by which an authority sends SMS."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from answerback.failure import Failure
from answerback.operating import (
    config,
    failing,
    now,
)
from answerback.output import emit, json_option


@click.group()
def sms() -> None:
    """Try the SMS gateways."""


@sms.command(name="test")
@click.argument("number")
@config
@click.option("--gateway", metavar="NAME", help="The gateway to try.  [default: the first]")
@click.option(
    "--patience",
    metavar="SECONDS",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Seconds to wait for delivery.",
)
@json_option
def sms_test(number: str, path: Path, gateway: str | None, patience: int, as_json: bool) -> None:
    """Send a real SMS, without a code, to NUMBER."""
    from answerback.settings import load_authority
    from ca_server import checkup
    from ca_server.orders import Delivery
    from policies.numbering_plan import parse_strictly

    with failing():
        result = checkup.send_test_sms(
            load_authority(path),
            parse_strictly(number),
            now(),
            gateway_name=gateway,
            patience=timedelta(seconds=patience),
        )
    if result.delivery is Delivery.FAILED:
        msg = f"gateway {result.gateway} took the message, and reports that it was not delivered"
        raise Failure(msg)
    data = {"gateway": result.gateway, "message_id": result.message_id, "delivery": result.delivery}
    told = "delivered" if result.delivery is Delivery.DELIVERED else f"taken, and no receipt came in {patience} s"
    emit(as_json, data, lambda: click.echo(f"gateway {result.gateway}: {told} (id {result.message_id})"))
