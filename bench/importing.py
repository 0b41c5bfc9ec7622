"""What importing many records costs, by `answerback directory import` as an operator runs it: time, memory and disk.

Each number has records of three apps, and every second one an access list. Run it by itself:
`python -m bench.importing --records 100000`; it says what ten million would take at that rate. To make the statements
takes longer than to import them, so they are made by all processors. `--onto 10000000` fills the database first
(`bench.filling`), and tells besides what lookups, starting and forgetting cost where there are so many.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

from bench.directory import PROGRAM, ROOT, BenchDirectory, Holder, Load, question
from bench.filling import APART, FIRST, fill, filled
from bench.table import Row, heading, line
from number_directory.access_list import ANYONE, Grant
from number_directory.lookup import OpenLookup
from number_directory.record import Medium, Record, sign_record
from number_directory.server.app import create_directory
from number_directory.server.forgetting import Forgetter
from number_directory.server.loading import load_config
from serving.database import Database
from stir.telephone_number import NumberPrefix, TelephoneNumber

APPS = ("chat.example", "com.example.video", "example.messages")
MANY = 10_000_000
_NUMBERS_AT_ONCE = 500
_ASKED = 4000


@dataclass(frozen=True)
class Imported:
    """What an import took."""

    records: int
    statements: int
    seconds: float
    cpu_seconds: float
    memory_kib: int
    database_bytes: int
    file_bytes: int


def write_statements(directory: BenchDirectory, file: Path, records: int, apart: int = APART) -> int:
    """Write the statements of so many records' owners, and return how many lines that are."""
    numbers = -(-records // len(APPS))
    starts = range(0, numbers, _NUMBERS_AT_ONCE)
    context = multiprocessing.get_context("fork")
    count = 0
    parts = ((start, min(_NUMBERS_AT_ONCE, numbers - start), apart) for start in starts)
    with ProcessPoolExecutor(os.cpu_count(), context, _begin, (directory,)) as pool, file.open("w") as lines:
        for text in pool.map(_statements, parts):
            lines.write(text)
            count += text.count("\n")
    return count


class _Maker:
    directory: BenchDirectory


def _begin(directory: BenchDirectory) -> None:
    _Maker.directory = directory


def _statements(part: tuple[int, int, int]) -> str:
    start, count, apart = part
    now = int(time.time())
    lines: list[str] = []
    for place in range(start, start + count):
        holder = _Maker.directory.issuer.holder(TelephoneNumber(str(FIRST + place * apart)))
        lines += (_record(holder, app, now) for app in APPS)
        if place % 2:
            grants = frozenset({ANYONE} if place % 4 == 1 else {Grant.to_prefix(NumberPrefix("1202"))})
            lines.append(holder.access_list(grants, now))
    return "".join(one + "\n" for one in lines)


def _record(holder: Holder, app: str, now: int) -> str:
    place = f"https://{app}/u/{holder.number.digits}"
    record = Record(holder.number, app, (place,), frozenset({Medium.AUDIO}), 1, now, now + 5 * 86400)
    return sign_record(record, holder.key, holder.chain)


def import_(directory: BenchDirectory, file: Path, records: int, statements: int) -> Imported:
    """Import a file, and return what that took."""
    before, begun = _size(directory), time.perf_counter()
    command = [*PROGRAM, "import", str(file), "--config", directory.settings]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Imported(
        records=records,
        statements=statements,
        seconds=time.perf_counter() - begun,
        cpu_seconds=used.ru_utime + used.ru_stime,
        memory_kib=used.ru_maxrss,
        database_bytes=_size(directory) - before,
        file_bytes=file.stat().st_size,
    )


def _size(directory: BenchDirectory) -> int:
    """Return how many bytes the database has."""
    url = load_config(Path(directory.settings)).database
    if url.startswith("sqlite:"):
        return directory.database.stat().st_size
    return int(Database.at(url).rows("SELECT pg_database_size(current_database())")[0][0])


def measure(records: int) -> Iterator[Row]:
    """Make statements, import them, and import them again."""
    with tempfile.TemporaryDirectory() as name:
        directory = BenchDirectory.make(Path(name))
        file = Path(name) / "statements"
        statements = write_statements(directory, file, records)
        took = import_(directory, file, records, statements)
        again = import_(directory, file, records, statements)
    yield from _rows(f"importing {records:,} records", took, again)
    yield Row(f"{MANY:,} at that rate", "h", took.seconds / records * MANY / 3600, None, "the disk, in GB",
              took.database_bytes / records * MANY / 1e9)  # fmt: skip


def measure_onto(many: int, records: int, folder: Path, database: str | None = None) -> Iterator[Row]:
    """Fill a database, and import among what is there; then ask, start, and forget."""
    directory = BenchDirectory.make(folder)
    if database is not None:
        settings = Path(directory.settings)
        lines = [one for one in settings.read_text().splitlines() if not one.startswith("database")]
        settings.write_text("\n".join([f'database = "{database}"', *lines]))
    file = folder / "statements"
    import_(directory, file, 12, write_statements(directory, file, 12))
    empty = _starting(directory)
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, context) as apart:  # what begins after it would be told to have had its memory
        seconds = apart.submit(fill, load_config(Path(directory.settings)).database, many).result()
    size = _size(directory)
    yield Row(f"{many:,} records: filled in", "s", seconds, None, "bytes, each", size / many)
    statements = write_statements(directory, file, records, APART * max(1, many // records))
    took = import_(directory, file, records, statements)
    again = import_(directory, file, records, statements)
    yield from _rows(f"importing {records:,} among {many:,}", took, again)
    yield Row(f"{many:,} records: until it serves", "s", _starting(directory), None, "a few", empty)
    yield from _asked(directory, many)
    yield from _forgotten(directory, many)


def _rows(what: str, took: Imported, again: Imported) -> Iterator[Row]:
    records = took.records
    yield Row(f"{what}: each", "us", took.seconds / records * 1e6, None, "again", again.seconds / records * 1e6)
    yield Row(f"{what}: CPU", "us", took.cpu_seconds / records * 1e6, None, "again", again.cpu_seconds / records * 1e6)
    yield Row(f"{what}: memory", "MiB", took.memory_kib / 1024, None, "again", again.memory_kib / 1024)
    yield Row(f"{what}: disk, each", "B", took.database_bytes / records, None, "the file", took.file_bytes / records)


def _starting(directory: BenchDirectory) -> float:
    begun = time.perf_counter()
    with directory.serving():
        return time.perf_counter() - begun


def _asked(directory: BenchDirectory, many: int) -> Iterator[Row]:
    """Look numbers up all over the database: some for the first time, and the same once more."""
    random_ = random.Random(1)  # noqa: S311  # the same each time
    places = random_.sample(range(many // 3), min(_ASKED, many // 3))
    asked = [OpenLookup((TelephoneNumber(str(filled(place))),)) for place in places]
    questions = [question("/lookup", one.to_json()) for one in asked]
    with directory.serving() as server:
        first, again = Load(server, directory.port), Load(server, directory.port)
        first.send(questions)
        again.send(questions)
    yield Row("unsigned lookups all over: CPU", "us", again.cpu_us, None, "each number's first", first.cpu_us)
    yield Row("unsigned lookups all over: median", "ms", again.half_ms, None, "each number's first", first.half_ms)
    yield Row("unsigned lookups all over: 99 of 100", "ms", again.most_ms, None, "the first", first.most_ms)


def _forgotten(directory: BenchDirectory, many: int) -> Iterator[Row]:
    """Forget what has served, and look again when nothing has."""
    found = create_directory(load_config(Path(directory.settings)))
    forgetter, begun = Forgetter(found), time.perf_counter()
    count = forgetter.turn()
    first = time.perf_counter() - begun
    forgetter.turn()
    second = time.perf_counter() - begun - first
    found.close()
    yield Row(f"{many:,} records: forgetting {count:,}", "s", first, None, "none", second)


@click.command()
@click.option("--records", type=click.IntRange(min=1), default=100_000, show_default=True)
@click.option("--onto", type=click.IntRange(min=12), help="Fill in so many records first.")
@click.option("--database", metavar="URL", help="Where to fill them in.  [default: SQLite]")
def main(records: int, onto: int | None, database: str | None) -> None:
    """Measure and print."""
    click.echo(heading())
    with tempfile.TemporaryDirectory() as name:
        rows = measure(records) if onto is None else measure_onto(onto, records, Path(name), database)
        for row in rows:
            click.echo(line(row))


if __name__ == "__main__":
    sys.exit(main())
