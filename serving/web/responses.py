"""Small parts of responses that every program sends."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

import falcon
import msgspec


def send_json(resp: falcon.Response, value: object) -> None:
    """Make `value` the body, as JSON."""
    resp.data = msgspec.json.encode(value)


def send_wait(resp: falcon.Response, wait: timedelta | None) -> None:
    """Say in Retry-After when to ask again, in whole seconds and never sooner than after one (RFC 9110 §10.2.3)."""
    if wait is not None:
        resp.set_header("Retry-After", str(max(1, ceil(wait.total_seconds()))))
