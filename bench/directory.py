"""What a directory costs: single lookups, signed and not, over HTTP; and publishing.

`answerback directory serve` runs as an operator runs it, with one process for the web, on SQLite. CPU time is that of
the server alone, whatever its client takes: 1,500 lookups a second and core are 667 microseconds each, 4,000 are 250.
Beside stands the ceiling: a program of ten lines under the same framework and server that answers as many bytes and
does nothing.

Half of the numbers that are asked for have a record that the caller sees, a quarter have one that it does not, and a
quarter have none. Callers have an address book each, which they have paid for. The last row of signed lookups is of
callers whose certificates the server has not seen before, as most are where there are many: two signatures are
verified, the question's and the certificate's, since the authorities above were led to their anchor before.
"""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from statistics import median, quantiles

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bench.processes import Server, free_port, running
from bench.table import Row
from number_directory.access_list import ANYONE, AccessList, AppAccess, Grant, sign_access_list
from number_directory.lookup import LookupRequest, OpenLookup, SignedLookup
from number_directory.record import Medium, Record, sign_record
from number_directory.statement import statement_body
from stir.certificate_building import (
    AuthorityFields,
    NumberCertificateFields,
    authority_certificate,
    number_certificate,
    signature_hash,
)
from stir.certificate_chain import write_pem_chain
from stir.telephone_number import TelephoneNumber
from stir.validation_method import ValidationMethod

NUMBERS = 4000
CALLERS = 32
LOOKUPS = 6000
CONNECTIONS = (1, 4, 8)
PUBLISHED = 400
TARGET_OPEN_US = 1e6 / 4000
TARGET_SIGNED_US = 1e6 / 1500

_FRESH_LOOKUPS = 2000
"""How many signed lookups are made at a time: they are good for a minute."""
PROGRAM = (sys.executable, "-m", "answerback", "directory")
ROOT = Path(__file__).parents[1]
_LIFTED = """
[quotas.caller]
burst = 10000000
per_day = 1000000000
[quotas.address]
burst = 10000000
per_day = 1000000000
"""
_APP = "chat.example"
_HEADER_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


# Who publishes and asks


@dataclass(frozen=True)
class Holder:
    """A number, its key, and its certificate with the one above it."""

    number: TelephoneNumber
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = field(repr=False)

    def record(self, sequence: int, now: int) -> str:
        """Return a signed record such as a chat app's."""
        place = f"https://chat.example/u/{self.number.digits}"
        media, expires = frozenset({Medium.MESSAGE, Medium.AUDIO}), now + 5 * 86400
        return sign_record(Record(self.number, _APP, (place,), media, sequence, now, expires), self.key, self.chain)

    def access_list(self, grants: frozenset[Grant], now: int) -> str:
        """Return a signed access list."""
        return sign_access_list(AccessList(self.number, 1, now, AppAccess(grants)), self.key, self.chain)

    def lookup(self, audience: str, request: int, number: TelephoneNumber) -> str:
        """Return a signed lookup of one number."""
        question = LookupRequest(audience, int(time.time()), f"request-{request:020}", (number,))
        return question.sign(self.key, self.chain)


class Issuer:
    """A root and an issuing authority below it, whose numbers share a few keys."""

    def __init__(self) -> None:
        """Make the authorities."""
        root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self._keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(64)]
        self._now = datetime.now(UTC)
        self.root = authority_certificate(self._fields(root_key, 1), None).sign(root_key, signature_hash(root_key))
        above = authority_certificate(self._fields(self._key, 0), self.root)
        self.issuing = above.sign(root_key, signature_hash(root_key))

    def _fields(self, key: ec.EllipticCurvePrivateKey, path_length: int) -> AuthorityFields:
        return AuthorityFields(
            common_name="Bench Issuing" if path_length == 0 else "Bench Root",
            organization="Bench",
            public_key=key.public_key(),
            serial=1 + path_length,
            not_before=self._now - timedelta(days=1),
            not_after=self._now + timedelta(days=365),
            path_length=path_length,
        )

    def holder(self, number: TelephoneNumber) -> Holder:
        """Certify a number."""
        key = self._keys[int(number.digits) % len(self._keys)]
        fields = NumberCertificateFields(
            number=number,
            public_key=key.public_key(),
            serial=x509.random_serial_number() >> 32,
            not_before=self._now - timedelta(hours=1),
            not_after=self._now + timedelta(days=7),
            validation=ValidationMethod.SMS_CODE,
            ca_issuers_url="https://ca.example/issuer/0123456789abcdef.der",
            crl_url="https://ca.example/crl/0123456789abcdef/0.crl",
        )
        leaf = number_certificate(fields, self.issuing).sign(self._key, signature_hash(self._key))
        return Holder(number, key, (leaf, self.issuing))


# The directory, and what stands beside it


@dataclass(frozen=True)
class BenchDirectory:
    """A directory with records in it, made and filled by the commands that an operator types."""

    folder: Path
    url: str
    port: int
    issuer: Issuer

    @classmethod
    def make(cls, folder: Path) -> BenchDirectory:
        """Make an empty directory with one process for the web, and quotas that are not in the way."""
        issuer, port = Issuer(), free_port()
        (folder / "root.pem").write_bytes(write_pem_chain((issuer.root,)))
        url = f"http://127.0.0.1:{port}"
        named = ("--name", "Bench", "--operator", "Bench", "--public-url", url, "--admit", str(folder / "root.pem"))
        _run("init", str(folder / "directory"), *named, "--unencrypted-keys")
        settings = folder / "directory" / "directory.toml"
        settings.write_text(settings.read_text().replace("#workers = 2", "workers = 1") + _LIFTED)
        return cls(folder, url, port, issuer)

    @property
    def settings(self) -> str:
        """The file of its settings."""
        return str(self.folder / "directory" / "directory.toml")

    @cached_property
    def database(self) -> Path:
        """The file of its database."""
        return self.folder / "directory" / "directory.db"

    def import_(self, statements: Path) -> None:
        """Import statements, one a line."""
        _run("import", str(statements), "--config", self.settings)

    @contextmanager
    def serving(self, *more: str) -> Iterator[Server]:
        """Serve while the block lasts."""
        command = [*PROGRAM, "serve", "--config", self.settings, *more]
        with running(command, self.port, self.folder, {"PYTHONPATH": str(ROOT)}) as server:
            yield server


def _run(*arguments: str) -> None:
    command = [*PROGRAM, *arguments]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, timeout=3600)


@contextmanager
def _hello(folder: Path, port: int) -> Iterator[Server]:
    """Serve next to nothing, by the same server: one process with as many threads."""
    command = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "8", "--workers", "1"]
    command += ["--keep-alive", "15", "--no-control-socket", "--bind", f"127.0.0.1:{port}", "bench.hello:app"]
    with running(command, port, folder, {"PYTHONPATH": str(ROOT)}) as server:
        yield server


# A client that takes little time itself


class Connection:
    """A connection that stays open, and asks one question after the other."""

    def __init__(self, port: int) -> None:
        """Connect."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, question: bytes) -> bool:
        """Send a request, read the answer, and tell whether its status is 200."""
        self._socket.sendall(question)
        data = self._socket.recv(65536)
        while _HEADER_END not in data:
            data += self._more()
        header, _, body = data.partition(_HEADER_END)
        length = int(header.lower().partition(_LENGTH)[2].partition(b"\r")[0])
        missing = length - len(body)
        while missing > 0:
            missing -= len(self._more())
        return header.startswith(b"HTTP/1.1 200")

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            msg = "the server closed the connection in the middle of an answer"
            raise ConnectionError(msg)
        return data

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def question(path: str, body: bytes) -> bytes:
    """Return a whole request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass
class Load:
    """Requests that were sent, and what they took: CPU of the server, and how long each waited."""

    server: Server
    port: int
    connections: int = 1
    cpu: float = 0.0
    elapsed: float = 0.0
    waits: list[float] = field(default_factory=list)

    def send(self, questions: Sequence[bytes]) -> None:
        """Send requests over all connections, each its next when it has its answer."""
        left, waits, failed = iter(questions), [], []
        lock = threading.Lock()
        clients = [Connection(self.port) for _ in range(self.connections)]

        def work(client: Connection) -> None:
            while True:
                with lock:
                    body = next(left, None)
                if body is None:
                    return
                begun = time.perf_counter()
                if not client.ask(body):
                    failed.append(body)
                waits.append(time.perf_counter() - begun)

        threads = [threading.Thread(target=work, args=(client,)) for client in clients]
        cpu, begun = self.server.cpu_seconds(), time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.elapsed += time.perf_counter() - begun
        self.cpu += self.server.cpu_seconds() - cpu
        self.waits += waits
        for client in clients:
            client.close()
        if failed or len(waits) != len(questions):
            msg = f"{len(failed)} of the bench's requests were refused, so its figures say nothing"
            raise RuntimeError(msg)

    @property
    def cpu_us(self) -> float:
        """Microseconds of the server's CPU for each request."""
        return self.cpu / len(self.waits) * 1e6

    @property
    def rate(self) -> float:
        """Requests a second, as long as there is one core for the server and another for the client."""
        return len(self.waits) / self.elapsed

    @property
    def half_ms(self) -> float:
        """Milliseconds within which the faster half was answered."""
        return median(self.waits) * 1000

    @property
    def most_ms(self) -> float:
        """Milliseconds within which 99 of 100 were answered."""
        return quantiles(self.waits, n=100)[-1] * 1000


# What is measured


def measure(numbers: int = NUMBERS, lookups: int = LOOKUPS, published: int = PUBLISHED) -> Iterator[Row]:
    """Fill a directory, ask it, and publish in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        directory = BenchDirectory.make(folder)
        holders = [directory.issuer.holder(number) for number in _numbers(numbers)]
        size = _fill(directory, holders)
        beside = _ceiling(folder, lookups)
        yield from _lookup_rows(directory, holders, lookups, beside)
        yield from _publish_rows(directory, holders[:published])
        yield Row("directory: a record in the database", "B", size, None, "as it was signed", _signed_size(holders))


def _numbers(count: int, area: str = "1202") -> list[TelephoneNumber]:
    return [TelephoneNumber(f"{area}{2000000 + place}") for place in range(count)]


def _fill(directory: BenchDirectory, holders: Sequence[Holder]) -> float:
    """Import a record of each number, and access lists; return the bytes of the database for each number."""
    now = int(time.time())
    empty = directory.database.stat().st_size
    file = directory.folder / "statements"
    with file.open("w") as lines:
        for place, holder in enumerate(holders):
            lines.write(holder.record(1, now) + "\n")
            grants = frozenset({ANYONE} if place % 3 else {Grant.to_number(holders[0].number)})
            lines.write(holder.access_list(grants, now) + "\n")
    directory.import_(file)
    return (directory.database.stat().st_size - empty) / len(holders)


def _signed_size(holders: Sequence[Holder]) -> float:
    now = int(time.time())
    return len(holders[0].record(1, now)) + len(holders[0].access_list(frozenset({ANYONE}), now))


def _ceiling(folder: Path, lookups: int) -> list[Load]:
    """Ask the program that does nothing, over as many connections as the directory will be asked."""
    port = free_port()
    body = question("/lookup", OpenLookup((TelephoneNumber("12025550123"),)).to_json())
    with _hello(folder, port) as server:
        Load(server, port).send([body] * 200)
        return [_load(server, port, [body] * lookups, connections) for connections in CONNECTIONS]


def _load(server: Server, port: int, questions: Sequence[bytes], connections: int = 1) -> Load:
    load = Load(server, port, connections)
    load.send(questions)
    return load


def _lookup_rows(
    directory: BenchDirectory, holders: Sequence[Holder], lookups: int, beside: Sequence[Load]
) -> Iterator[Row]:
    absent = [TelephoneNumber(f"1303{2000000 + place}") for place in range(len(holders) // 3)]
    asked = [*(holder.number for holder in holders), *absent]
    with directory.serving() as server:
        for connections, hello in zip(CONNECTIONS, beside, strict=True):
            yield from _rows("unsigned", TARGET_OPEN_US, _open(directory, server, asked, lookups, connections), hello)
        client = _Callers(directory, asked, holders[-CALLERS:])
        _load(server, directory.port, client.questions(500))  # every caller has been seen, and has paid
        for connections, hello in zip(CONNECTIONS, beside, strict=True):
            yield from _rows("signed", TARGET_SIGNED_US, client.ask(server, lookups, connections), hello)
        verifying = _verifying_us(client.tokens(500))
        new = _Callers(directory, asked, [directory.issuer.holder(one) for one in _numbers(500, "1404")])
        _load(server, directory.port, new.questions(len(new.callers), in_turn=True))
        strangers = _Callers(directory, asked, [directory.issuer.holder(one.number) for one in new.callers])
        cold = _load(server, directory.port, strangers.questions(len(new.callers), in_turn=True))
    what = f"signed, chain not seen before: CPU ({1e6 / cold.cpu_us:,.0f}/s)"
    yield Row(what, "us", cold.cpu_us, TARGET_SIGNED_US, "verifying two signatures", 2 * verifying)


def _rows(kind: str, target: float, load: Load, beside: Load) -> Iterator[Row]:
    what = f"lookup, {kind}, {load.connections} connection{'s' if load.connections > 1 else ''}"
    yield Row(f"{what}: CPU ({1e6 / load.cpu_us:,.0f}/s)", "us", load.cpu_us, target, "a hello", beside.cpu_us)
    yield Row(f"{what}: median", "ms", load.half_ms, None, "a hello", beside.half_ms)
    yield Row(f"{what}: 99 of 100", "ms", load.most_ms, None, "a hello", beside.most_ms)


def _open(
    directory: BenchDirectory, server: Server, asked: Sequence[TelephoneNumber], lookups: int, connections: int
) -> Load:
    random_ = random.Random(1)  # noqa: S311  # the same each time
    chosen = random_.sample(asked, min(500, len(asked)))
    questions = [question("/lookup", OpenLookup((number,)).to_json()) for number in chosen]
    _load(server, directory.port, questions)
    return _load(server, directory.port, random_.choices(questions, k=lookups), connections)


@dataclass
class _Callers:
    """Callers who sign, each with an address book of its own."""

    directory: BenchDirectory
    asked: Sequence[TelephoneNumber]
    callers: Sequence[Holder]
    _random: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._books = {one.number: self._random.sample(self.asked, min(50, len(self.asked))) for one in self.callers}

    def tokens(self, count: int, *, in_turn: bool = False) -> list[str]:
        """Return signed lookups, by callers at random or each once."""
        chosen = self.callers[:count] if in_turn else self._random.choices(self.callers, k=count)
        url, random_ = self.directory.url, self._random
        return [one.lookup(url, random_.getrandbits(60), random_.choice(self._books[one.number])) for one in chosen]

    def questions(self, count: int, *, in_turn: bool = False) -> list[bytes]:
        """Return requests that carry signed lookups."""
        return [question("/lookup", statement_body(token)) for token in self.tokens(count, in_turn=in_turn)]

    def ask(self, server: Server, lookups: int, connections: int) -> Load:
        """Ask as often, with questions that are made some at a time: they are good for a minute."""
        load = Load(server, self.directory.port, connections)
        for done in range(0, lookups, _FRESH_LOOKUPS):
            load.send(self.questions(min(_FRESH_LOOKUPS, lookups - done)))
        return load


def _verifying_us(tokens: Sequence[str]) -> float:
    """Return what the library takes to verify the signatures alone."""
    signed = [SignedLookup.parse(token) for token in tokens]
    keys = [one.chain[0].public_key() for one in signed]
    begun = time.process_time()
    for one, key in zip(signed, keys, strict=True):
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise TypeError
        one.verify(key)
    return (time.process_time() - begun) / len(signed) * 1e6


def _publish_rows(directory: BenchDirectory, holders: Sequence[Holder]) -> Iterator[Row]:
    """Replace records, each with a receipt from the record log; the worker's CPU time counts too."""
    now = int(time.time())
    questions = [question("/records", statement_body(holder.record(2, now))) for holder in holders]
    with directory.serving("--with-worker") as server:
        time.sleep(1)  # the worker's first turn is not a publisher's
        load = _load(server, directory.port, questions, connections=8)
    begun = time.process_time()
    for holder in holders:
        holder.record(3, now)
    signing = (time.process_time() - begun) / len(holders) * 1e6
    yield Row("publishing, with its receipt: CPU", "us", load.cpu_us, None, "signing one", signing)
    yield Row("publishing, with its receipt: median", "ms", load.half_ms, None, "the pooling alone", 200)


if __name__ == "__main__":
    from bench.table import heading, line

    print(heading())  # noqa: T201  # what a measurement is run for
    for row in measure():
        print(line(row), flush=True)  # noqa: T201
