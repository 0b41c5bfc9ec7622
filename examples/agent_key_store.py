"""A key store whose keys live in another process: an agent behind a Unix socket signs, and never shows a key.

The agent could run as another user, on another machine behind a tunnel, or in front of an HSM; what the authority needs
is the same. It speaks one line of JSON for each question and answer.

Configure it as

    [keys]
    store = "agent_key_store:open_store"

    [keys.options]
    socket = "agent.sock"
"""

# ruff: noqa: INP001  # this folder is no package: an operator's own modules stand beside answerback, not in it

from __future__ import annotations

import base64
import json
import socket
import socketserver
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from ca_server.errors import KeyStoreError
from ca_server.signing.key_store import KeyStore

_CURVES: dict[str, ec.EllipticCurve] = {"secp256r1": ec.SECP256R1(), "secp384r1": ec.SECP384R1()}
_HASHES: dict[str, hashes.HashAlgorithm] = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}
_SECONDS = 10


def open_store(options: Mapping[str, Any], folder: Path) -> KeyStore:
    """Return the store that `[keys.options]` describes; the authority calls this once in each process."""
    return AgentKeyStore(folder / options["socket"])


class AgentKeyStore:
    """Asks the agent for keys by name."""

    def __init__(self, path: Path) -> None:
        """Remember where the agent listens; nothing connects yet."""
        self._path = path

    def create(self, name: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        """Have the agent make a key."""
        self.ask({"do": "create", "key": name, "curve": curve.name})
        return self.open(name)

    def open(self, name: str) -> ec.EllipticCurvePrivateKey:
        """Return the agent's key of this name, of which only the public half is known here."""
        pem = self.ask({"do": "public", "key": name})
        public_key = serialization.load_pem_public_key(pem.encode())
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            msg = f"the agent's key {name!r} is no elliptic curve key"
            raise KeyStoreError(msg)
        return AgentKey(self, name, public_key)

    def ask(self, question: dict[str, str]) -> str:
        """Return the agent's answer; raise KeyStoreError where it refuses or cannot be reached."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_SECONDS)
                connection.connect(str(self._path))
                connection.sendall(json.dumps(question).encode() + b"\n")
                with connection.makefile("rb") as lines:
                    answer = json.loads(lines.readline())
        except (OSError, ValueError) as error:
            msg = f"the signing agent at {self._path} does not answer; is it running?"
            raise KeyStoreError(msg) from error
        if "refused" in answer:
            raise KeyStoreError(str(answer["refused"]))
        return str(answer["result"])


class AgentKey(ec.EllipticCurvePrivateKey):
    """A private key that signs elsewhere. The authority calls `sign`, `public_key` and `curve`, and nothing more."""

    def __init__(self, store: AgentKeyStore, name: str, public_key: ec.EllipticCurvePublicKey) -> None:
        """Remember whom to ask."""
        self._store = store
        self._name = name
        self._public_key = public_key

    def sign(
        self, data: bytes | bytearray | memoryview[int], signature_algorithm: ec.EllipticCurveSignatureAlgorithm
    ) -> bytes:
        """Return the agent's signature, in DER.

        The authority asks for deterministic ECDSA, so that a certificate which is signed again after a crash has the
        same bytes. A token that cannot do that may sign with a fresh nonce: only one of the two is ever handed out.
        """
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, Prehashed):
            _refuse()
        question = {
            "do": "sign",
            "key": self._name,
            "hash": algorithm.name,
            "data": base64.b64encode(data).decode("ascii"),
        }
        return base64.b64decode(self._store.ask(question))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half."""
        return self._public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve that the key is on."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """The bits of the curve."""
        return self.curve.key_size

    def exchange(self, *_: object) -> NoReturn:
        """Refuse: the agent signs, and does nothing else."""
        _refuse()

    def private_numbers(self) -> NoReturn:
        """Refuse: the key does not leave the agent."""
        _refuse()

    def private_bytes(self, *_: object) -> NoReturn:
        """Refuse: the key does not leave the agent."""
        _refuse()

    def __copy__(self) -> AgentKey:
        """Return this key, which never changes."""
        return self

    def __deepcopy__(self, memo: object) -> AgentKey:
        """Return this key, which never changes."""
        return self


def _refuse() -> NoReturn:
    msg = "the key is in the signing agent, which signs data and does nothing else"
    raise KeyStoreError(msg)


class Agent(socketserver.ThreadingUnixStreamServer):
    """The other side: it holds the keys, here in memory. A real one would keep them in a token or encrypted on disk."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        """Listen at the socket; `serve_forever` answers."""
        super().__init__(str(path), _Conversation)
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}

    def answer(self, question: dict[str, str]) -> dict[str, str]:
        """Return what to say to one question."""
        name = question["key"]
        match question["do"]:
            case "create" if name not in self.keys:
                self.keys[name] = ec.generate_private_key(_CURVES[question["curve"]])
                return {"result": "made"}
            case "create":
                return {"refused": f"there is a key {name!r} already, and it is never overwritten"}
            case "public" if name in self.keys:
                form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
                return {"result": self.keys[name].public_key().public_bytes(*form).decode("ascii")}
            case "sign" if name in self.keys:
                algorithm = ec.ECDSA(_HASHES[question["hash"]], deterministic_signing=True)
                signature = self.keys[name].sign(base64.b64decode(question["data"]), algorithm)
                return {"result": base64.b64encode(signature).decode("ascii")}
            case _:
                return {"refused": f"there is no key {name!r} here; make it first"}


class _Conversation(socketserver.StreamRequestHandler):
    server: Agent

    def handle(self) -> None:
        answer = self.server.answer(json.loads(self.rfile.readline()))
        self.wfile.write(json.dumps(answer).encode() + b"\n")
