"""The SMSC of the npm package `smpp`, in a process of its own, with manners (tests/npm/smsc.js)."""

from __future__ import annotations

import dataclasses
import json
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any, Self

from tests.fakes.smsc import Manners, Taken

STARTS_WITHIN = 30.0
ANSWERS_WITHIN = 10.0


class NpmSmsc:
    """A node process that is told what to do on its input, and says on its output what happens."""

    def __init__(self, node: str, folder: Path, manners: Manners) -> None:
        """Prepare a server that behaves so; `folder` holds smsc.js and its packages."""
        self.port = 0
        self.taken: list[Taken] = []
        self.refused = 0
        self.receipts_acknowledged = 0
        self.binds: list[str] = []
        self.unbinds = 0
        self.errors: list[str] = []
        self._command = [node, str(folder / "smsc.js"), json.dumps(dataclasses.asdict(manners))]
        self._listening: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._text_answers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._process: subprocess.Popen[str]
        self._reader: threading.Thread

    def __enter__(self) -> Self:
        """Start the process, and return once it listens."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = self._listening.get(timeout=STARTS_WITHIN)
        return self

    def __exit__(self, *_: object) -> None:
        """End the process by ending its input."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(ANSWERS_WITHIN)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            self._process.stdout.close()

    def cut(self) -> None:
        """Cut all connections without a word."""
        self._tell({"do": "cut"})

    def text_in(self, text: str) -> bool:
        """Pass on a message from a phone."""
        self._tell({"do": "text_in", "text": text})
        return self._text_answers.get(timeout=ANSWERS_WITHIN) == 0

    def _tell(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._note(json.loads(line))

    def _note(self, happened: dict[str, Any]) -> None:
        match happened.pop("event"):
            case "listening":
                self._listening.put(happened["port"])
            case "bound":
                self.binds.append(happened["password"])
            case "unbound":
                self.unbinds += 1
            case "taken":
                self.taken.append(Taken(**happened))
            case "refused":
                self.refused += 1
            case "receipt_answered":
                self.receipts_acknowledged += happened["status"] == 0
            case "text_answered":
                self._text_answers.put(happened["status"])
            case "error":
                self.errors.append(happened["message"])
