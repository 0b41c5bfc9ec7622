"""What it costs to choose: quorums, many anchors, hostile chains; and secsipidx's check of the same PASSporT.

A quorum is two of three authorities that certified one key, with chains that the store has not seen. Beside it stands
one such verdict. secsipidx checks the token's signature by a public key that it is given, and no certificate; what its
process takes to start is taken off.

Of the hostile chains (`bench.hostile`), the dearest is told.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.hostile import MANY_ANCHORS, Hostile, hostile_chains, strangers
from bench.table import Row
from bench.verdict import Callers, judged, milliseconds
from policies.quorum import Group, Quorum, Quorums
from stir.identity_header import IdentityHeader
from trust_store import Call, TrustStore

QUORUM_TARGET_MS = 1.2
SLOWER_BY_ANCHORS = 1.1
HOSTILE_TARGET_MS = 10
HOSTILE_TARGET_MIB = 10
ROUNDS = 100
FEW_ANCHORS = 3

_PROGRAM = "secsipidx"
_MIB = 1024 * 1024


def measure() -> Iterator[Row]:
    """Measure each, in milliseconds."""
    first = Callers("one")
    others = [Callers(name, first.number_key) for name in ("two", "three")]
    yield from _quorum(first, others)
    yield from _many_anchors(first)
    yield from _hostile()
    yield from _beside_secsipidx(first)


def _quorum(first: Callers, others: list[Callers]) -> Iterator[Row]:
    anchors = [one.anchor for one in (first, *others)]
    operators = {anchor.terms.name: anchor.terms.operator for anchor in anchors}
    asked = Quorums((Group("all-three", 2, tuple(operators), "x"),), (Quorum("all-three", "x"),), operators)
    calls = [first.call(place, others=others[:1]) for place in range(ROUNDS)]
    alone = [first.call(place) for place in range(ROUNDS, 2 * ROUNDS)]
    counted = median(judged(TrustStore(anchors, quorums=asked), calls)[1:])
    one = median(judged(TrustStore(anchors), alone)[1:])
    yield Row("verdict, quorum of 2 of 3", "ms", counted, QUORUM_TARGET_MS, "one chain", one)


def _many_anchors(callers: Callers) -> Iterator[Row]:
    """Judge by few and by many anchors, turn by turn, so that both see the same machine."""
    few, many = (TrustStore([*strangers(count - 1), callers.anchor]) for count in (FEW_ANCHORS, MANY_ANCHORS))
    took: dict[int, list[float]] = {FEW_ANCHORS: [], MANY_ANCHORS: []}
    for place in range(2 * ROUNDS, 4 * ROUNDS):
        call = callers.call(place)
        order = [(few, FEW_ANCHORS), (many, MANY_ANCHORS)]
        for store, count in order if place % 2 else reversed(order):
            took[count].extend(judged(store, [call]))
    by_few, by_many = median(took[FEW_ANCHORS]), median(took[MANY_ANCHORS])
    yield Row(
        f"verdict, {MANY_ANCHORS} anchors", "ms", by_many, by_few * SLOWER_BY_ANCHORS, f"{FEW_ANCHORS} anchors", by_few
    )


def _hostile() -> Iterator[Row]:
    times = {name: median(_first(one) for _ in range(5)) for name, one in hostile_chains().items()}
    dearest = max(times, key=lambda name: times[name])
    largest = max(peak_mib(one) for one in hostile_chains().values())
    yield Row(f"hostile: {dearest}", "ms", times[dearest], HOSTILE_TARGET_MS, "its limit", HOSTILE_TARGET_MS)
    yield Row("hostile chains, most memory", "MiB", largest, HOSTILE_TARGET_MIB, "its limit", HOSTILE_TARGET_MIB)


def _first(hostile: Hostile) -> float:
    store = hostile.store()
    return milliseconds(lambda: _judge(hostile, store))


def _judge(hostile: Hostile, store: TrustStore) -> None:
    hostile.judge(store)


def peak_mib(hostile: Hostile) -> float:
    """Return the memory that a verdict takes at most, in MiB."""
    store = hostile.store()
    tracemalloc.start()
    try:
        hostile.judge(store)
        return tracemalloc.get_traced_memory()[1] / _MIB
    finally:
        tracemalloc.stop()


def _beside_secsipidx(callers: Callers) -> Iterator[Row]:
    program = shutil.which(_PROGRAM)
    if program is None:
        return  # the table goes without a program that is not installed
    call = callers.call(0)
    store = TrustStore([callers.anchor])
    judged(store, [callers.call(1), call])
    ours = median(judged(store, [call] * ROUNDS))
    with tempfile.TemporaryDirectory() as folder:
        theirs = _checked_by_secsipidx(program, call, callers, Path(folder))
    yield Row("verdict on a PASSporT, chain seen before", "ms", ours, None, "secsipidx, signature alone", theirs)


def _checked_by_secsipidx(program: str, call: Call, callers: Callers, folder: Path) -> float:
    """Return the milliseconds of a check, without those that the program takes to say its version."""
    (folder / "identity").write_text(IdentityHeader.for_token(call.token).format())
    public = callers.number_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "public.pem").write_bytes(public)
    check = [program, "-check", "-fidentity", "identity", "-fpubkey", "public.pem", "-expire", str(10**10)]
    checked, started = [], []
    for _ in range(ROUNDS):
        checked.append(milliseconds(lambda: _run(check, folder)))
        started.append(milliseconds(lambda: _run([program, "-v"], folder)))
    return max(median(checked) - median(started), 0.001)


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, capture_output=True, timeout=30, check=False)


if __name__ == "__main__":
    from bench.table import heading, line

    print(heading())  # noqa: T201  # what a measurement is run for
    for row in measure():
        print(line(row))  # noqa: T201
