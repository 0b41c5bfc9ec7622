"""What importing many records costs, by `answerback directory import` as an operator runs it: time, memory and disk.

Each number has records of three apps, and every second one an access list. Run it by itself:
`python -m bench.importing --records 100000`; it says what ten million would take at that rate. To make the statements
takes longer than to import them, so they are made by all processors.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

from bench.directory import PROGRAM, ROOT, BenchDirectory, Holder
from bench.table import Row, heading, line
from number_directory.access_list import ANYONE, Grant
from number_directory.record import Medium, Record, sign_record
from stir.telephone_number import NumberPrefix, TelephoneNumber

APPS = ("chat.example", "com.example.video", "example.messages")
MANY = 10_000_000
_NUMBERS_AT_ONCE = 500


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


def write_statements(directory: BenchDirectory, file: Path, records: int) -> int:
    """Write the statements of so many records' owners, and return how many lines that are."""
    numbers = -(-records // len(APPS))
    starts = range(0, numbers, _NUMBERS_AT_ONCE)
    context = multiprocessing.get_context("fork")
    count = 0
    with ProcessPoolExecutor(os.cpu_count(), context, _begin, (directory,)) as pool, file.open("w") as lines:
        for text in pool.map(_statements, ((start, min(_NUMBERS_AT_ONCE, numbers - start)) for start in starts)):
            lines.write(text)
            count += text.count("\n")
    return count


class _Maker:
    directory: BenchDirectory


def _begin(directory: BenchDirectory) -> None:
    _Maker.directory = directory


def _statements(part: tuple[int, int]) -> str:
    start, count = part
    now = int(time.time())
    lines: list[str] = []
    for place in range(start, start + count):
        holder = _Maker.directory.issuer.holder(TelephoneNumber(f"1{2000000000 + place * 7}"))
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
    before = directory.database.stat().st_size
    used, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [*PROGRAM, "import", str(file), "--config", directory.settings]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    seconds, done = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Imported(
        records=records,
        statements=statements,
        seconds=seconds,
        cpu_seconds=done.ru_utime + done.ru_stime - used.ru_utime - used.ru_stime,
        memory_kib=done.ru_maxrss,
        database_bytes=directory.database.stat().st_size - before,
        file_bytes=file.stat().st_size,
    )


def measure(records: int) -> Iterator[Row]:
    """Make statements, import them, and import them again."""
    with tempfile.TemporaryDirectory() as name:
        directory = BenchDirectory.make(Path(name))
        file = Path(name) / "statements"
        statements = write_statements(directory, file, records)
        took = import_(directory, file, records, statements)
        again = import_(directory, file, records, statements)
    what = f"importing {records:,} records"
    yield Row(f"{what}: each", "us", took.seconds / records * 1e6, None, "again", again.seconds / records * 1e6)
    yield Row(f"{what}: CPU", "us", took.cpu_seconds / records * 1e6, None, "again", again.cpu_seconds / records * 1e6)
    yield Row(f"{what}: memory", "MiB", took.memory_kib / 1024, None, "again", again.memory_kib / 1024)
    yield Row(f"{what}: disk, each", "B", took.database_bytes / records, None, "the file", took.file_bytes / records)
    yield Row(f"{MANY:,} at that rate", "h", took.seconds / records * MANY / 3600, None, "the disk, in GB",
              took.database_bytes / records * MANY / 1e9)  # fmt: skip


@click.command()
@click.option("--records", type=click.IntRange(min=1), default=100_000, show_default=True)
def main(records: int) -> None:
    """Measure and print."""
    click.echo(heading())
    for row in measure(records):
        click.echo(line(row))


if __name__ == "__main__":
    sys.exit(main())
