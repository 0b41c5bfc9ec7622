"""Signed notes: a text, and lines with signatures of it (C2SP signed-note).

A note is believed only through `Note.verified_by` or `open_note`: a text is nobody's until a known key is found to have
signed it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from nacl.bindings import crypto_core_ed25519_is_valid_point

from transparency.errors import NoteError

LARGEST_NOTE: Final = 256 * 1024
"""Bytes that a note may have: sixteen post-quantum signatures take 60 kB."""
MOST_SIGNATURES: Final = 64
"""Signatures that a note may have; C2SP asks for 16 at the least."""
ED25519: Final = 0x01
"""The signature type of plain Ed25519 signatures."""

_KEY_ID_SIZE = 4
_ED25519_KEY_SIZE = 32
_LONGEST_NAME = 255
_SIGNATURE_LINE = re.compile(r"— (?P<name>[^ ]+) (?P<blob>[A-Za-z0-9+/]+={0,2})")
_VERIFIER_KEY = re.compile(r"(?P<name>[^+]+)\+(?P<id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/]+={0,2})")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class Signer(Protocol):
    """Who signs notes: a key with its name."""

    @property
    def name(self) -> str:
        """The key's name, such as `log.example/2026h2`."""
        ...

    @property
    def key_id(self) -> bytes:
        """The key's 4-byte identifier."""
        ...

    def sign(self, text: bytes) -> bytes:
        """Return the signature of a note's text."""
        ...


class Verifier(Protocol):
    """Whose signatures of notes are known: a public key with its name."""

    @property
    def name(self) -> str:
        """The key's name, such as `log.example/2026h2`."""
        ...

    @property
    def key_id(self) -> bytes:
        """The key's 4-byte identifier."""
        ...

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Tell whether the key signed a note's text."""
        ...


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: the name and 4-byte identifier of a key, and the bytes that it made."""

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        """Refuse what no line can hold."""
        require_name(self.name)
        if len(self.key_id) != _KEY_ID_SIZE or not self.signature:
            msg = "a note's signature has a key identifier of 4 bytes and is not empty"
            raise NoteError(msg)

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line such as `— log.example/2026h2 Az3grl…`, without its newline."""
        match = _SIGNATURE_LINE.fullmatch(line)
        if match is None:
            msg = "a note's signature line is an em dash, a key's name and base64, with a space between them"
            raise NoteError(msg)
        blob = decode_base64(match["blob"])
        return cls(match["name"], blob[:_KEY_ID_SIZE], blob[_KEY_ID_SIZE:])

    def format(self) -> str:
        """Return the line, without its newline."""
        return f"— {self.name} {encode_base64(self.key_id + self.signature)}"

    def is_by(self, verifier: Verifier | Signer) -> bool:
        """Tell whether the line names this key, by both its name and its identifier."""
        return (self.name, self.key_id) == (verifier.name, verifier.key_id)


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and the signatures under it, which nobody has checked yet."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        """Refuse what a signed note cannot hold."""
        _require_text(self.text)
        if not 0 < len(self.signatures) <= MOST_SIGNATURES:
            msg = f"a signed note has 1 to {MOST_SIGNATURES} signatures"
            raise NoteError(msg)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a note; a note has one encoding."""
        if len(data) > LARGEST_NOTE:
            msg = f"a signed note has at most {LARGEST_NOTE} bytes"
            raise NoteError(msg)
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            msg = "a signed note is UTF-8"
            raise NoteError(msg) from error
        text, blank, lines = whole.rpartition("\n\n")
        if not blank or not lines.endswith("\n"):
            msg = "a signed note is a text, an empty line, and lines with signatures"
            raise NoteError(msg)
        return cls(f"{text}\n", tuple(NoteSignature.parse(line) for line in lines[:-1].split("\n")))

    def to_bytes(self) -> bytes:
        """Return the note as it is sent."""
        lines = "".join(f"{signature.format()}\n" for signature in self.signatures)
        return f"{self.text}\n{lines}".encode()

    def with_signatures(self, signatures: Iterable[NoteSignature]) -> Note:
        """Return the note with more signatures; those that it has already are not repeated."""
        added = (signature for signature in signatures if signature not in self.signatures)
        return Note(self.text, (*self.signatures, *added))

    def verified_by(self, verifiers: Iterable[Verifier]) -> tuple[NoteSignature, ...]:
        """Return the signatures by known keys, one for each key, all of which are right.

        Signatures by unknown keys are passed over. Raises NoteError where a known key's signature is wrong, as that is
        no accident, and where no known key signed.
        """
        known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
        verified: dict[tuple[str, bytes], NoteSignature] = {}
        for signature in self.signatures:
            key = (signature.name, signature.key_id)
            verifier = known.get(key)
            if verifier is None:
                continue
            if not verifier.verify(self.text.encode(), signature.signature):
                msg = f"the note's signature by {signature.name} is wrong"
                raise NoteError(msg)
            verified.setdefault(key, signature)
        if not verified:
            msg = f"the note is signed by none of: {', '.join(sorted(name for name, _ in known)) or 'no known key'}"
            raise NoteError(msg)
        return tuple(verified.values())


@dataclass(frozen=True, slots=True)
class Ed25519Signer:
    """An Ed25519 key that signs notes under a name (signature type 0x01)."""

    name: str
    key: Ed25519PrivateKey = field(repr=False)

    @property
    def verifier(self) -> Ed25519Verifier:
        """What others need to check this key's signatures."""
        return Ed25519Verifier(self.name, self.key.public_key().public_bytes_raw())

    @property
    def key_id(self) -> bytes:
        """The key's identifier."""
        return self.verifier.key_id

    def sign(self, text: bytes) -> bytes:
        """Return the 64-byte signature of a note's text."""
        return self.key.sign(text)


@dataclass(frozen=True, slots=True)
class Ed25519Verifier:
    """An Ed25519 public key of 32 bytes under a name (signature type 0x01). Raises NoteError for a key of no use."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        """Refuse a name that no line can hold and a key that any signature fits."""
        require_name(self.name)
        require_ed25519_key(self.public_key)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key such as `log.example/2026h2+0a1b2c3d+AZqd…`."""
        name, material = parse_verifier_key(text, ED25519)
        return cls(name, material)

    @property
    def key_id(self) -> bytes:
        """The key's identifier."""
        return key_id(self.name, ED25519, self.public_key)

    def format(self) -> str:
        """Return the verifier key as it is handed out."""
        return format_verifier_key(self.name, ED25519, self.public_key)

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Tell whether the key signed a note's text."""
        return ed25519_verifies(self.public_key, text, signature)


def sign_note(text: str, signers: Sequence[Signer]) -> Note:
    """Return the note of a text, signed by each of `signers`."""
    _require_text(text)
    data = text.encode()
    return Note(text, tuple(NoteSignature(signer.name, signer.key_id, signer.sign(data)) for signer in signers))


def open_note(data: bytes, verifiers: Iterable[Verifier]) -> Note:
    """Read a note that at least one known key signed; raise NoteError where none did or one's signature is wrong."""
    note = Note.parse(data)
    note.verified_by(verifiers)
    return note


def key_id(name: str, signature_type: int, public_key: bytes) -> bytes:
    """Return a key's 4-byte identifier: SHA-256(name || 0x0A || type || public key)[:4]."""
    return sha256(name.encode() + b"\n" + bytes([signature_type]) + public_key).digest()[:_KEY_ID_SIZE]


def format_verifier_key(name: str, signature_type: int, public_key: bytes) -> str:
    """Return `<name>+<identifier in hex>+<base64 of type and public key>`."""
    identifier = key_id(name, signature_type, public_key).hex()
    return f"{name}+{identifier}+{encode_base64(bytes([signature_type]) + public_key)}"


def parse_verifier_key(text: str, signature_type: int) -> tuple[str, bytes]:
    """Return the name and the public key of a verifier key of this type; refuse one whose identifier is not its own."""
    match = _VERIFIER_KEY.fullmatch(text)
    if match is None:
        msg = "a verifier key is a name, 8 hexadecimal digits and base64, with + between them"
        raise NoteError(msg)
    material = decode_base64(match["key"])
    if material[:1] != bytes([signature_type]):
        msg = f"this is no verifier key of signature type 0x{signature_type:02x}"
        raise NoteError(msg)
    name, public_key = match["name"], material[1:]
    if key_id(require_name(name), signature_type, public_key).hex() != match["id"]:
        msg = "the verifier key's identifier is not that of its name and key: it was copied wrongly"
        raise NoteError(msg)
    return name, public_key


def ed25519_verifies(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether a 32-byte Ed25519 key signed a message (RFC 8032 §5.1.7)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def require_ed25519_key(public_key: bytes) -> None:
    """Refuse all but canonical points of the large subgroup: under a point of small order, anything is signed."""
    if len(public_key) != _ED25519_KEY_SIZE or not crypto_core_ed25519_is_valid_point(bytes(public_key)):
        msg = "an Ed25519 public key is 32 bytes: a point of the large subgroup of edwards25519"
        raise NoteError(msg)


def require_name(name: str) -> str:
    """Return a key's name; raise NoteError for one that no signature line can hold."""
    if "+" in name or any(character.isspace() for character in name) or not 0 < _utf8_length(name) <= _LONGEST_NAME:
        msg = f"a key's name has 1 to {_LONGEST_NAME} bytes, and neither + nor spaces among them"
        raise NoteError(msg)
    if _CONTROL.search(name):
        msg = "a key's name has no control characters"
        raise NoteError(msg)
    return name


def encode_base64(data: bytes) -> str:
    """Return standard base64 (RFC 4648 §4)."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Read standard base64; refuse any but the one encoding that bytes have."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = "a note's hashes, keys and signatures are standard base64 (RFC 4648 §4)"
        raise NoteError(msg) from error
    if encode_base64(data) != text:
        msg = "the base64 has bits that stand for nothing (RFC 4648 §3.5)"
        raise NoteError(msg)
    return data


def _require_text(text: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text) or _utf8_length(text) <= 0:
        msg = "a note's text ends in a newline and has no other control characters"
        raise NoteError(msg)


def _utf8_length(text: str) -> int:
    """Return how many bytes a text takes, -1 where it has no UTF-8."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return -1
