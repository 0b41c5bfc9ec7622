"""CPU time of a server per certificate, through the whole flow, for one client and for eight."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.acme_flow import AcmeClient, Subject
from bench.processes import Server

WORKERS = 2
THREADS = 8
TARGET_CPU_MS = 9.0

Serving = Callable[[Path], AbstractContextManager[tuple[Server, str]]]


@dataclass(frozen=True)
class Cost:
    """What certificates cost a server: CPU and elapsed milliseconds for each."""

    clients: int
    certificates: int
    cpu_ms: float
    elapsed_ms: float


def measure(serving: Serving, subjects: Callable[[Path], Iterator[Subject]], clients: int, certificates: int) -> Cost:
    """Start a server afresh, let it warm up, and take its CPU time over so many certificates in all."""
    with TemporaryDirectory(prefix="answerback-bench-") as name:
        folder = Path(name)
        with serving(folder) as (server, index_url):
            wanted = subjects(folder)
            accounts = [_account(index_url, next(wanted)) for _ in range(clients)]
            shares = [list(islice(wanted, certificates // clients)) for _ in accounts]
            cpu, clock = server.cpu_seconds(), time.monotonic()
            with ThreadPoolExecutor(clients) as pool:
                done = sum(pool.map(_ask_for_all, accounts, shares))
            cpu, clock = server.cpu_seconds() - cpu, time.monotonic() - clock
    return Cost(clients, done, 1000 * cpu / done, 1000 * clock / done)


def _account(index_url: str, first: Subject) -> AcmeClient:
    client = AcmeClient(index_url)
    client.register()
    client.certificate(first)
    return client


def _ask_for_all(client: AcmeClient, subjects: list[Subject]) -> int:
    return sum(client.certificate(subject).startswith("-----BEGIN CERTIFICATE") for subject in subjects)
