"""The foreign feeder, run by a Python of its own: sends a checkpoint to a witness as `aics-witness` does.

Reads {"url", "key", "note", "proofs": {"<old size>": ["<hex>", …]}} and prints {"lines"}, or {"refused": "<class>"}.
"""

from __future__ import annotations

import json
import sys

from aics_witness.feeder import FeederError, WitnessClient


def main() -> None:
    """Send what standard input says."""
    asked = json.load(sys.stdin)

    def prove(old_size: int, _new_size: int) -> list[bytes]:
        return [bytes.fromhex(part) for part in asked["proofs"][str(old_size)]]

    with WitnessClient(asked["url"], asked["key"], max_attempts=1) as client:
        try:
            answer = {"lines": client.submit(asked["note"], prove)}
        except FeederError as error:
            answer = {"refused": type(error).__name__}
    sys.stdout.write(json.dumps(answer))


main()
