"""A worker in a process of its own, to be killed: `python -m tests.fakes.worker_process DATABASE_URL SMSC_PORT LATE`.

It sends by the SMSC on that port of the loopback address, with a clock that is LATE seconds ahead, until SIGTERM.
"""

from __future__ import annotations

import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ca_server.config import Gateway
from ca_server.sms.loading import open_gateways
from ca_server.sms.routing import Routes
from ca_server.sms.worker import Worker
from ca_server.storage import Storage


def smsc_gateway(port: int) -> Gateway:
    """Return the table of a gateway to an SMSC on loopback; its password stands in SMPP_PASSWORD."""
    options = {"host": "127.0.0.1", "port": port, "system_id": "ca", "password_variable": "SMPP_PASSWORD"}
    return Gateway("smsc", "smpp", "Example Telecom", "ExampleCA", options)


def main() -> None:
    """Work until told to stop."""
    url, port, late = sys.argv[1], int(sys.argv[2]), timedelta(seconds=int(sys.argv[3]))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    gateways = (smsc_gateway(port),)
    storage = Storage.open(url)
    opened = open_gateways(gateways, Path())
    Worker(storage.sms, Routes.from_config(gateways), opened, clock=lambda: datetime.now(UTC) + late).run(stop)
    storage.close()


if __name__ == "__main__":
    main()
