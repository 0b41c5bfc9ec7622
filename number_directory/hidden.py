"""Numbers asked for without being shown: a directory helps to find a record and does not learn whose (RFC 9497).

A verifiable oblivious pseudorandom function (VOPRF, ristretto255-SHA512) turns a number into 64 bytes that only its
key's holder, the directory, can compute, and it computes them for a caller without seeing the number: the caller sends
a blinded element, and unblinds the answer. From those bytes come a label, under which the number's open records stand
in a bucket with others', and a key, without which they cannot be read. A bucket is fetched whole, by anybody.

So the directory learns how many numbers a caller asks for and in which bucket each is; who downloads all buckets
learns neither a number nor a record. A bucket with too few numbers is filled up with entries of which nobody but the
directory can tell that they are nobody's. `docs/explanation/privacy.md` says what each way of asking shows to whom.
"""

from __future__ import annotations

import hmac
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b, shake_256
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from voprf import ristretto

from number_directory.errors import AnswerError, HiddenQuestionError
from stir.telephone_number import TelephoneNumber

SEED_BYTES: Final = 32
LABEL_BYTES: Final = 32
ELEMENT_BYTES: Final = 32
"""Bytes of a blinded number (RFC 9497 §4.1, Noe)."""
EVALUATED_BYTES: Final = 96
"""Bytes of what a directory makes of one: the element, and the two scalars of its proof."""
MOST_NUMBERS: Final = 100
"""How many numbers are asked for in one question."""
DEEPEST: Final = 20
"""Buckets are named by at most so many leading bits of a label: a directory that would have more told is refused.

With 20 bits, of eight thousand million numbers some 7,600 are in each bucket.
"""
LARGEST_BUCKET: Final = 4 * 1024 * 1024
SMALLEST_SEALED: Final = 4 * 1024
LARGEST_SEALED: Final = 64 * 1024
"""What is sealed has one of five lengths: 4 KiB, and its doubles up to this."""
LARGEST_PLAIN: Final = LARGEST_SEALED - 4

_INFO = b"answerback hidden numbers 1:"  # of the key, followed by the directory's name
_INPUT = b"answerback hidden number 1:"  # of the function, followed by the digits
_LABEL = b"answerback hidden label 1"
_RECORDS = b"answerback hidden records 1"
_FILLING = b"answerback hidden filling 1"
_NONCE = b"hidden nonce 1"
_NONCE_BYTES = 12  # RFC 8439 §2.8
_TAG_BYTES = 16
_PLACE_BITS = 32
_PLACE_BYTES = _PLACE_BITS // 8
_LENGTHS = tuple(SMALLEST_SEALED << doublings for doublings in range(5))
_RARER = (192, 224, 240, 248)
"""Of 256 fillings, so many have at most the first length, the second, and so on."""
_FILLING_SECONDS = 30 * 86400
_FILLED = struct.Struct(">BII")
_HEAD = struct.Struct(f">{LABEL_BYTES}sI")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class HiddenNumber:
    """What the function makes of a number: where its open records stand, and the key to them.

    `label` has 32 bytes. Whoever has one of these has asked the directory for the number, or is the directory.
    """

    label: bytes
    _key: bytes = field(repr=False)

    @classmethod
    def of(cls, output: bytes) -> Self:
        """Derive both from the function's 64 bytes."""
        return cls(_expand(output, _LABEL), _expand(output, _RECORDS))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return what `to_bytes` was made of."""
        return cls(data[:LABEL_BYTES], data[LABEL_BYTES:])

    def to_bytes(self) -> bytes:
        """Return label and key in 64 bytes, for a directory to keep."""
        return self.label + self._key

    @property
    def place(self) -> int:
        """Where the label stands among all: its first 32 bits."""
        return _place(self.label)

    def seal(self, plain: bytes) -> bytes:
        """Return `plain` readable for holders of the number's key alone, filled up to one of a few lengths.

        The same is sealed the same way each time, so that whoever watches a bucket sees nothing change but what did.
        The nonce is a keyed hash of what is sealed: two texts share one with a chance of 2**-96. Raises ValueError for
        more than `LARGEST_PLAIN` bytes.
        """
        framed = _LENGTH.pack(len(plain)) + plain
        length = next((length for length in _LENGTHS if len(framed) <= length), None)
        if length is None:
            msg = f"at most {LARGEST_PLAIN} bytes are sealed under a number"
            raise ValueError(msg)
        padded = framed.ljust(length, b"\0")
        nonce = blake2b(padded, digest_size=_NONCE_BYTES, key=self._key, person=_NONCE).digest()
        return nonce + ChaCha20Poly1305(self._key).encrypt(nonce, padded, self.label)

    def open(self, sealed: bytes) -> bytes:
        """Return what was sealed under the number. Raises AnswerError."""
        nonce, encrypted = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            padded = ChaCha20Poly1305(self._key).decrypt(nonce, encrypted, self.label)
            (length,) = _LENGTH.unpack_from(padded)
        except (InvalidTag, ValueError, struct.error) as error:
            msg = "what the bucket holds under the number's label was not sealed for it"
            raise AnswerError(msg) from error
        if length > len(padded) - _LENGTH.size:
            msg = "what the bucket holds under the number's label is shorter than it says"
            raise AnswerError(msg)
        return padded[_LENGTH.size : _LENGTH.size + length]


class HiddenKey:
    """The directory's key of the function (RFC 9497 §3.2.1). Whoever has it can compute every number's label."""

    def __init__(self, seed: bytes, directory: str) -> None:
        """Derive the key of a directory, by name, from a secret of 32 random bytes."""
        if len(seed) != SEED_BYTES:
            msg = f"the secret of hidden numbers has {SEED_BYTES} bytes"
            raise ValueError(msg)
        self._evaluator = ristretto.Evaluator.from_seed(seed, _INFO + directory.encode())
        self._filling = hmac.digest(seed, _FILLING + directory.encode(), "sha256")

    @property
    def public_key(self) -> bytes:
        """The key that answers are verified with, in 32 bytes."""
        return self._evaluator.public_key.serialize()

    def evaluate(self, blinded: Sequence[bytes]) -> tuple[bytes, ...]:
        """Answer a caller's question without seeing its numbers: for each 96 bytes, the element and its proof.

        Raises HiddenQuestionError. Each element has a proof of its own, and not all one together: the library reports
        a batch whose proof fails by a panic, which no program can be expected to survive.
        """
        if not 1 <= len(blinded) <= MOST_NUMBERS:
            msg = f"ask for 1 to {MOST_NUMBERS} numbers at once"
            raise HiddenQuestionError(msg)
        try:
            elements = [ristretto.BlindedInput.deserialize(element) for element in blinded]
        except ValueError as error:
            msg = "a blinded number is a ristretto255 element other than the identity, in 32 bytes (RFC 9497 §4.1)"
            raise HiddenQuestionError(msg) from error
        return tuple(self._evaluator.evaluate(element).serialize() for element in elements)

    def hidden(self, number: TelephoneNumber) -> HiddenNumber:
        """Compute the label and key of a number that the directory knows (RFC 9497 §3.3.2, Evaluate)."""
        return HiddenNumber.of(self._evaluator.evaluate_known_input(_input(number)))

    def filling(self, bucket: Bucket, count: int, seconds: int) -> dict[bytes, bytes]:
        """Return entries that are nobody's, by label, for a bucket with too few numbers at a time since 1970.

        Like other entries they stay the same, but for a new text every thirty days, each at a time of its own.
        """
        return dict(self._fill(bucket, index, seconds) for index in range(count))

    def _fill(self, bucket: Bucket, index: int, seconds: int) -> tuple[bytes, bytes]:
        source = self._filling + _FILLED.pack(bucket.depth, bucket.index, index)
        drawn = shake_256(source).digest(LABEL_BYTES + _PLACE_BYTES + 1)
        label, phase, draw = drawn[:LABEL_BYTES], int.from_bytes(drawn[LABEL_BYTES:-1], "big"), drawn[-1]
        turn = (seconds + phase % _FILLING_SECONDS) // _FILLING_SECONDS
        length = _LENGTHS[sum(draw >= bound for bound in _RARER)] + _NONCE_BYTES + _TAG_BYTES
        return bucket.moved_into(label), shake_256(source + turn.to_bytes(8, "big")).digest(length)


class HiddenQuestion:
    """A caller's question for some numbers: `blinded` goes to the directory, `finish` reads its answer."""

    def __init__(self, numbers: Sequence[TelephoneNumber]) -> None:
        """Blind 1 to 100 numbers afresh: two questions for one number have nothing in common."""
        if not 1 <= len(numbers) <= MOST_NUMBERS:
            msg = f"ask for 1 to {MOST_NUMBERS} numbers at once"
            raise HiddenQuestionError(msg)
        pairs = [ristretto.Client.blind(_input(number)) for number in numbers]
        self._clients = [client for client, _ in pairs]
        self.blinded: tuple[bytes, ...] = tuple(blinded.serialize() for _, blinded in pairs)

    def finish(self, answers: Sequence[bytes], public_key: bytes) -> tuple[HiddenNumber, ...]:
        """Return what became of each number, in order, once the proofs hold under the key. Raises AnswerError.

        A directory that answers with another key, to tell its callers apart later, is found out here.
        """
        if len(answers) != len(self._clients):
            msg = "the directory answered for more or fewer numbers than were asked for"
            raise AnswerError(msg)
        return tuple(_finish(*one, public_key) for one in zip(self._clients, answers, strict=True))


def _finish(client: ristretto.Client, answer: bytes, public_key: bytes) -> HiddenNumber:
    try:
        key = ristretto.PublicKey.deserialize(public_key)
        return HiddenNumber.of(client.finalize(ristretto.VerifiableOutput.deserialize(answer), key))
    except ValueError as error:
        msg = "the directory did not compute its answer with the key that its description names"
        raise AnswerError(msg) from error


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """One of the 2**depth buckets: that of the labels whose leading bits are `index`. Raises ValueError."""

    depth: int
    index: int

    def __post_init__(self) -> None:
        """Refuse a bucket that there is not."""
        if not 0 <= self.depth <= DEEPEST or not 0 <= self.index < 1 << self.depth:
            msg = f"the depth of the buckets is 0 to {DEEPEST}, and there are 2**depth of them"
            raise ValueError(msg)

    @classmethod
    def of(cls, label: bytes, depth: int) -> Self:
        """Return the bucket of a label."""
        return cls(depth, _place(label) >> (_PLACE_BITS - depth) if depth <= DEEPEST else 0)

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read a name such as `7-5a`; raise ValueError where it is none, or not in its one form."""
        depth, _, index = name.partition("-")
        if _BUCKET_NAME.fullmatch(name) is None:
            msg = "a bucket is named by its depth and, in hexadecimal, its index, such as 7-5a"
            raise ValueError(msg)
        return cls(int(depth), int(index, 16))

    @property
    def name(self) -> str:
        """What the bucket is asked for by."""
        return f"{self.depth}-{self.index:x}"

    @property
    def places(self) -> range:
        """Where its labels stand among all, by their first 32 bits."""
        width = 1 << (_PLACE_BITS - self.depth)
        return range(self.index * width, (self.index + 1) * width)

    def moved_into(self, label: bytes) -> bytes:
        """Return a label with its leading bits changed to those of this bucket."""
        places = self.places
        place = places.start + _place(label) % len(places)
        return place.to_bytes(_PLACE_BYTES, "big") + label[_PLACE_BYTES:]


_BUCKET_NAME = re.compile(r"(0|[1-9][0-9]?)-(0|[1-9a-f][0-9a-f]{0,4})", re.ASCII)


def _place(label: bytes) -> int:
    return int.from_bytes(label[:_PLACE_BYTES], "big")


def entry_size(sealed: bytes) -> int:
    """Return how many bytes of a bucket an entry takes."""
    return _HEAD.size + len(sealed)


def write_bucket(entries: Mapping[bytes, bytes]) -> bytes:
    """Return a bucket of sealed records by label: sorted, so that the order tells nothing."""
    return b"".join(_HEAD.pack(label, len(sealed)) + sealed for label, sealed in sorted(entries.items()))


def find_in_bucket(bucket: bytes, hidden: Iterable[HiddenNumber]) -> dict[bytes, bytes]:
    """Return what stands in a bucket for some numbers, by label, opened. Raises AnswerError."""
    entries = _read_bucket(bucket)
    return {one.label: one.open(entries[one.label]) for one in hidden if one.label in entries}


def _read_bucket(bucket: bytes) -> dict[bytes, bytes]:
    if len(bucket) > LARGEST_BUCKET:
        msg = f"a bucket has at most {LARGEST_BUCKET} bytes"
        raise AnswerError(msg)
    entries: dict[bytes, bytes] = {}
    at, before = 0, b""
    while at < len(bucket):
        if len(bucket) - at < _HEAD.size:
            raise AnswerError(_CUT)
        label, length = _HEAD.unpack_from(bucket, at)
        at += _HEAD.size + length
        if at > len(bucket):
            raise AnswerError(_CUT)
        if label <= before:
            msg = "a bucket's labels are sorted, each once"
            raise AnswerError(msg)
        entries[label], before = bucket[at - length : at], label
    return entries


_CUT = "the bucket ends within an entry"


def _input(number: TelephoneNumber) -> bytes:
    return _INPUT + number.digits.encode("ascii")


def _expand(output: bytes, info: bytes) -> bytes:
    return HKDFExpand(SHA512(), LABEL_BYTES, info).derive(output)
