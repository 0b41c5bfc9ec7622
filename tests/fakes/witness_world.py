"""Witnesses in memory: our own program behind a transport, which may be away, dawdle, or answer with something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import falcon.testing
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from transparency.cosignature import Ed25519Cosigner, MlDsa44Cosigner
from transparency.signed_note import Verifier
from transparency.transport import Answer, Question, Unreachable
from transparency.witness.app import create_app
from transparency.witness.cosigning import Witness
from transparency.witness.store import Store

AT = 1_800_000_000


@dataclass
class MemoryWitness:
    """One witness. While `gate` is closed its answers wait; `is_away` refuses all connections."""

    folder: Path
    logs: Mapping[str, Sequence[Verifier]]
    name: str = "witness.example/w1"
    has_two_keys: bool = False
    is_away: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    changed: Callable[[Answer], Answer] = lambda answer: answer
    asked: int = 0

    def __post_init__(self) -> None:
        """Make it, with a memory of its own."""
        self.gate.set()
        seed = sha256(self.name.encode()).digest()
        self.cosigner = Ed25519Cosigner(self.name, Ed25519PrivateKey.from_private_bytes(seed))
        store = Store.create(self.folder / f"{seed.hex()[:8]}.db", self.cosigner.verifier.format())
        second = MlDsa44Cosigner(self.name, MLDSA44PrivateKey.generate()) if self.has_two_keys else None
        self.witness = Witness(self.cosigner, self.logs, store, lambda: AT, second)
        self.client = falcon.testing.TestClient(create_app(self.witness))

    @property
    def url(self) -> str:
        """Its submission prefix."""
        return f"https://{self.name.replace('/', '.')}"

    def answer(self, question: Question) -> Answer:
        """Answer as it does over HTTP."""
        self.asked += 1
        self.gate.wait(20)
        if self.is_away:
            msg = "witness.example could not be asked"
            raise Unreachable(msg)
        path = urlsplit(question.url).path
        result = self.client.simulate_post(path, body=question.body or b"")
        return self.changed(Answer(result.status_code, result.content, dict(result.headers)))


@dataclass
class WitnessNetwork:
    """A transport to some witnesses."""

    witnesses: Sequence[MemoryWitness]

    def ask(self, question: Question) -> Answer:
        """Ask the one whose URL it is."""
        return next(one for one in self.witnesses if question.url.startswith(f"{one.url}/")).answer(question)
