"""Make the test vectors of `transparency`, the same bytes every time: run it by `make vectors`.

They follow one small log: its 600 entries of 201 labels, its tiles, its checkpoint, an SCT in a
certificate, a proof with a witness, and its label index. Every case has its expectation beside its input: `expect` with
what is read, or `error` with its class and its words. Keys are derived from their names and nothing here is secret. All
numbers are from ranges set aside for fiction. RFC 9381's own vectors stand beside them, in rfc9381.json.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stir.certificate import NumberCertificate, load_certificate
from stir.certificate_building import number_certificate, precertificate
from stir.telephone_number import TelephoneNumber
from tests.fakes import plain_tree
from tests.fakes.index_files import built
from tests.vectors.make_stir_vectors import ISSUING, ISSUING_KEY, NUMBER, NUMBER_FIELDS, OTHER_NUMBER, key, signed
from transparency import entry, merkle
from transparency.checkpoint import Checkpoint
from transparency.cosignature import Ed25519Cosigner
from transparency.entry import SealedEntry, rounded_timestamp, vrf_input
from transparency.errors import TransparencyError
from transparency.index_growth import LabelIndex
from transparency.label_bucket import Bucket, bucket_of
from transparency.label_index import MapCheckpoint
from transparency.log_description import LogDescription, ShardDescription
from transparency.proof import TlogProof, WitnessPolicy
from transparency.sct import (
    SctExtensions,
    SignedCertificateTimestamp,
    decode_sct_list,
    encode_sct_list,
    issuer_key_hash,
    log_id_of,
    sign_sct,
    signed_data,
    tbs_of,
)
from transparency.signed_note import Ed25519Signer, Note, sign_note
from transparency.tiles import ENTRIES, Frontier, TileCoordinates, decode_bundle, encode_bundle
from transparency.vrf import VrfPrivateKey, output_of

FOLDER = Path(__file__).parent / "transparency"
Json = dict[str, Any]

ORIGIN = "log.example/2026h1"
START = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = datetime(2026, 7, 1, tzinfo=UTC)
NOW_MS = int(START.timestamp()) * 1000 + 86_412_345
SIZE = 600
PLACE = 299
"""The leaf of the log that is a real certificate's."""


def seed(name: str) -> bytes:
    """Return the 32 secret bytes of this name."""
    return sha256(f"answerback test seed: {name}".encode()).digest()


def ed25519(name: str) -> Ed25519PrivateKey:
    """Return the Ed25519 key of this name."""
    return Ed25519PrivateKey.from_private_bytes(seed(name))


SCT_KEY = key("log")
VRF_KEY = VrfPrivateKey.from_seed(seed("vrf"))
LOG = Ed25519Signer(ORIGIN, ed25519("log"))
STRANGER = Ed25519Signer("elsewhere.example", ed25519("stranger"))
WITNESS = Ed25519Cosigner("witness.example/w1", ed25519("witness"))
POLICY = WitnessPolicy({WITNESS.verifier: "Witness Operator"}, 1)
SHARD = ShardDescription("2026h1", ORIGIN, START, LIMIT, SCT_KEY.public_key(), VRF_KEY.public_key, LOG.verifier)
DESCRIPTION = LogDescription(
    "Example Log", "Log Operator Ltd", "https://log.example", "https://tiles.log.example", (SHARD,)
)

# The certificate at leaf 299

PRECERTIFICATE = signed(precertificate(NUMBER_FIELDS, ISSUING), ISSUING_KEY)
TBS = tbs_of(PRECERTIFICATE)
ISSUER_HASH = issuer_key_hash(ISSUING)
VRF_PROOF = VRF_KEY.prove(vrf_input(ORIGIN, NUMBER))
LABEL = entry.label(output_of(VRF_PROOF))
OPENING = seed("opening")[: entry.OPENING_SIZE]
EXTENSIONS = SctExtensions(PLACE, VRF_PROOF, OPENING)
TIMESTAMP = rounded_timestamp(NOW_MS)
SCT = sign_sct(SCT_KEY, ISSUER_HASH, TBS, TIMESTAMP, EXTENSIONS)
SCT_LIST = encode_sct_list([SCT])
CERTIFICATE = signed(number_certificate(NUMBER_FIELDS, ISSUING, SCT_LIST), ISSUING_KEY)
ENTRY = SealedEntry(TIMESTAMP, LABEL, ISSUER_HASH, entry.commitment(OPENING, LABEL, TBS))


def other_entry(place: int) -> SealedEntry:
    """Return the entry of somebody else's certificate, at this leaf: three of each label."""
    other = sha256(f"label {place % 200}".encode()).digest()
    return SealedEntry(TIMESTAMP, other, ISSUER_HASH, sha256(f"commitment {place}".encode()).digest())


# The log

LOG_ENTRIES = [ENTRY if place == PLACE else other_entry(place) for place in range(SIZE)]
LEAVES = [leaf.to_bytes() for leaf in LOG_ENTRIES]
GROWTH = Frontier().append([merkle.leaf_hash(leaf) for leaf in LEAVES])
TILES = {tile.path: data for tile, data in GROWTH.tiles.items()}
BUNDLES = {
    TileCoordinates(ENTRIES, start // 256, len(LEAVES[start : start + 256])).path: encode_bundle(
        LEAVES[start : start + 256]
    )
    for start in range(0, SIZE, 256)
}
CHECKPOINT = Checkpoint(ORIGIN, SIZE, GROWTH.frontier.root)
NOTE = Note.parse(CHECKPOINT.to_note([LOG])).with_signatures([WITNESS.cosign(CHECKPOINT, NOW_MS // 1000)])
INDEX, SEGMENTS = built([leaf.label for leaf in LOG_ENTRIES])
MAP_CHECKPOINT = INDEX.checkpoint(CHECKPOINT)


PROOF = TlogProof(PLACE, tuple(plain_tree.path(PLACE, LEAVES)), NOTE)
BUCKET = INDEX.bucket(bucket_of(LABEL, INDEX.depth), lambda path, start, length: SEGMENTS[path][start : start + length])


# What is read, and what is not


def changed(data: bytes, place: int, new: bytes) -> bytes:
    """Return the data with other bytes at a place."""
    return data[:place] + new + data[place + len(new) :]


def entries() -> Iterator[tuple[str, str, bytes]]:
    """Yield sealed entries."""
    data = ENTRY.to_bytes()
    yield "an entry", "protocol §6", data
    yield "a minute later", "protocol §6", replace(ENTRY, timestamp_ms=TIMESTAMP + 60_000).to_bytes()
    yield "of no version", "protocol §6", changed(data, 0, b"\x00")
    yield "of the next version", "protocol §6", changed(data, 0, b"\x02")
    yield "a time that is not a whole minute", "protocol §6", changed(data, 8, b"\x01")
    yield "a time beyond all clocks", "protocol §6", changed(data, 1, b"\xff")
    yield "a byte too few", "protocol §6", data[:-1]
    yield "a byte too many", "protocol §6", data + b"\x00"
    yield "nothing", "protocol §6", b""


def bundles() -> Iterator[tuple[str, str, bytes]]:
    """Yield bundles of three entries."""
    data = encode_bundle(LEAVES[:3])
    yield "three entries", "C2SP tlog-tiles", data
    yield "entries of any length", "C2SP tlog-tiles", encode_bundle([b"", b"x", b"y" * 300])
    yield "two entries", "C2SP tlog-tiles", encode_bundle(LEAVES[:2])
    yield "four entries", "C2SP tlog-tiles", encode_bundle(LEAVES[:4])
    yield "half an entry at the end", "C2SP tlog-tiles", data[:-1]
    yield "half a length at the end", "C2SP tlog-tiles", data + b"\x00"
    yield "nothing", "C2SP tlog-tiles", b""


def tile_paths() -> Iterator[tuple[str, str, str]]:
    """Yield paths of tiles."""
    for path in (
        "tile/0/000",
        "tile/5/x001/x234/067",
        "tile/63/999.p/1",
        "tile/entries/x001/000.p/255",
        f"tile/0/{'x999/' * 5}999",
    ):
        yield path, "C2SP tlog-tiles", path
    for path in (
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/1000",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/1000",
        "tile/data/000",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/\u0660\u0660\u0660",
        f"tile/0/{'x999/' * 7}999",
        "",
    ):
        yield f"refused: {path}", "C2SP tlog-tiles", path


def notes() -> Iterator[tuple[str, str, str]]:
    """Yield signed notes, as text."""
    whole = NOTE.to_bytes().decode()
    text, _, lines = whole.rpartition("\n\n")
    log_line, witness_line = lines.splitlines()
    yield "a log's and a witness's signature", "C2SP signed-note", whole
    yield "empty lines in the text", "C2SP signed-note", sign_note("a\n\n\nb\n\n", [LOG]).to_bytes().decode()
    yield "no ASCII in the text", "C2SP signed-note", sign_note("è subito sera\n", [LOG]).to_bytes().decode()
    yield "no signature", "C2SP signed-note", f"{text}\n"
    yield "no empty line", "C2SP signed-note", f"{text}\n{log_line}\n"
    yield "no newline at the end", "C2SP signed-note", whole[:-1]
    yield "text behind the signatures", "C2SP signed-note", f"{whole}more\n"
    yield "a hyphen for the dash", "C2SP signed-note", whole.replace("—", "-")
    yield "two spaces", "C2SP signed-note", whole.replace("— log", "—  log")
    yield "a plus in the name", "C2SP signed-note", f"{text}\n\n{log_line.replace('log.', 'log+')}\n"
    wide = log_line.replace("log.", "log\u2003")
    yield "a Unicode space in the name", "C2SP signed-note", f"{text}\n\n{wide}\n"
    yield "a tab in the text", "C2SP signed-note", "a\tb\n\n" + lines
    yield "a carriage return", "C2SP signed-note", "a\r\n\n" + lines
    yield "base64 without padding", "C2SP signed-note", whole.replace("=\n", "\n")
    yield "base64 with loose bits", "RFC 4648 §3.5", whole.replace(log_line[-3:], _loosened(log_line[-3:]))
    yield "base64url", "RFC 4648 §4", f"{text}\n\n— {ORIGIN} -_-_-_-_-_-_\n"
    yield "a key identifier only", "C2SP signed-note", f"{text}\n\n— {ORIGIN} AAAAAA==\n"
    yield "65 signatures", "C2SP signed-note", f"{text}\n\n" + f"{witness_line}\n" * 65


def _loosened(tail: str) -> str:
    """Return the end of a base64 text with a bit set that stands for nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body, padding = tail.rstrip("="), "=" * tail.count("=")
    return body[:-1] + alphabet[alphabet.index(body[-1]) | 1] + padding


def checkpoints() -> Iterator[tuple[str, str, str]]:
    """Yield texts that a log might sign."""
    good = CHECKPOINT.text
    root = good.splitlines()[2]
    yield "a checkpoint", "C2SP tlog-checkpoint", good
    yield "an empty tree", "C2SP tlog-checkpoint", Checkpoint(ORIGIN, 0, merkle.EMPTY_ROOT).text
    yield "extension lines", "C2SP tlog-checkpoint", f"{good}one\ntwo\n"
    yield "an origin with spaces", "C2SP tlog-checkpoint", good.replace(ORIGIN, "Example Log")
    yield "the largest tree", "RFC 6962 §2.1", good.replace("600", str(2**63 - 1))
    yield "a tree that is too large", "RFC 6962 §2.1", good.replace("600", str(2**63))
    yield "a leading zero", "C2SP tlog-checkpoint", good.replace("600", "0600")
    yield "a sign", "C2SP tlog-checkpoint", good.replace("600", "+600")
    yield "digits of another script", "C2SP tlog-checkpoint", good.replace("600", "\u0666\u0660\u0660")
    yield "an empty tree with a root", "RFC 6962 §2.1", good.replace("600", "0")
    yield "no origin", "C2SP tlog-checkpoint", good.removeprefix(ORIGIN)
    yield "a long origin", "C2SP tlog-checkpoint", good.replace(ORIGIN, "o" * 256)
    yield "no root", "C2SP tlog-checkpoint", f"{ORIGIN}\n600\n"
    yield "a short root", "C2SP tlog-checkpoint", good.replace(root, "AAAA")
    yield "a root in base64url", "RFC 4648 §4", good.replace(root, "_" * 43 + "=")
    yield "an empty extension line", "C2SP tlog-checkpoint", f"{good}\n"
    yield "no newline at the end", "C2SP tlog-checkpoint", good[:-1]


def proofs() -> Iterator[tuple[str, str, str]]:
    """Yield offline proofs of the certificate's entry."""
    good = PROOF.to_bytes().decode()
    head, _, note = good.partition("\n\n")
    yield "a proof", "C2SP tlog-proof", good
    yield "extra data", "C2SP tlog-proof", replace(PROOF, extra=b"anything").to_bytes().decode()
    yield "of another leaf", "RFC 9162 §2.1.3.2", good.replace("index 299", "index 300")
    yield "of a leaf beyond the tree", "RFC 9162 §2.1.3.2", good.replace("index 299", "index 600")
    yield "a hash too few", "RFC 9162 §2.1.3.2", "\n".join(head.splitlines()[:-1]) + f"\n\n{note}"
    yield "a hash too many", "RFC 9162 §2.1.3.2", f"{head}\n{head.splitlines()[-1]}\n\n{note}"
    yield "without a witness", "C2SP tlog-cosignature", good.replace("— witness", "— stranger")
    yield "without the log", "C2SP tlog-proof", good.replace("— log", "— lag")
    yield "another format", "C2SP tlog-proof", good.replace("@v1", "@v2")
    yield "no index", "C2SP tlog-proof", good.replace("index 299\n", "")
    yield "a leading zero", "C2SP tlog-proof", good.replace("index 299", "index 0299")
    yield "empty extra data", "C2SP tlog-proof", good.replace("index", "extra \nindex")
    yield "no checkpoint", "C2SP tlog-proof", head + "\n"
    yield "a carriage return", "C2SP tlog-proof", good.replace("\n", "\r\n", 1)


def certificates() -> Iterator[tuple[str, str, bytes]]:
    """Yield certificates with SCTs, to be held to the log's description."""

    def with_sct(sct: SignedCertificateTimestamp) -> bytes:
        fields = number_certificate(NUMBER_FIELDS, ISSUING, encode_sct_list([sct]))
        return signed(fields, ISSUING_KEY).public_bytes(Encoding.DER)

    def signed_anew(**fields: object) -> bytes:
        return with_sct(sign_sct(SCT_KEY, ISSUER_HASH, TBS, TIMESTAMP, replace(EXTENSIONS, **fields)))  # type: ignore[arg-type]

    yield "a certificate and its SCT", "RFC 6962 §3.2", CERTIFICATE.public_bytes(Encoding.DER)
    reordered = b"".join(reversed(_extensions(SCT.extensions)))
    again = _signed_over(reordered)
    yield "the SCT's extensions in another order", "C2SP static-ct-api", with_sct(again)
    unknown = _signed_over(SCT.extensions + b"\x07\x00\x01x")
    yield "an extension of an unknown type", "C2SP static-ct-api", with_sct(unknown)
    yield "an extension twice", "C2SP static-ct-api", with_sct(_signed_over(SCT.extensions + SCT.extensions[:8]))
    yield "no VRF proof", "protocol §6", with_sct(_signed_over(_extensions(SCT.extensions)[0]))
    yield "a leaf index of 4 bytes", "C2SP static-ct-api", with_sct(_signed_over(b"\x00\x00\x04\x00\x00\x01\x2b"))
    yield "half an extension", "C2SP static-ct-api", with_sct(_signed_over(SCT.extensions[:-1]))
    other = VRF_KEY.prove(vrf_input(ORIGIN, OTHER_NUMBER))
    yield "filed under another number's label", "RFC 9381 §5.3", signed_anew(vrf_proof=other)
    elsewhere = VrfPrivateKey.from_seed(seed("elsewhere")).prove(vrf_input(ORIGIN, NUMBER))
    yield "a proof of another log's key", "RFC 9381 §5.3", signed_anew(vrf_proof=elsewhere)
    yield "a time that is not a whole minute", "protocol §6", with_sct(_signed_over(SCT.extensions, TIMESTAMP + 1))
    yield "the SCT of another time", "RFC 6962 §3.2", with_sct(replace(SCT, timestamp_ms=TIMESTAMP + 60_000))
    yield "the SCT of another log", "RFC 6962 §3.2", with_sct(replace(SCT, log_id=bytes(32)))
    later = replace(NUMBER_FIELDS, serial=0x3002)
    taken = signed(number_certificate(later, ISSUING, SCT_LIST), ISSUING_KEY).public_bytes(Encoding.DER)
    yield "the SCT of another certificate", "RFC 6962 §3.2", taken


def _extensions(data: bytes) -> list[bytes]:
    """Return each SCT extension by itself."""
    parts = []
    while data:
        size = 3 + int.from_bytes(data[1:3], "big")
        parts.append(data[:size])
        data = data[size:]
    return parts


def _signed_over(extensions: bytes, timestamp_ms: int = TIMESTAMP) -> SignedCertificateTimestamp:
    """Return an SCT with any extensions, signed by the log all the same."""
    data = signed_data(ISSUER_HASH, TBS, timestamp_ms, extensions)
    signature = SCT_KEY.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return SignedCertificateTimestamp(log_id_of(SCT_KEY.public_key()), timestamp_ms, extensions, signature)


def sct_lists() -> Iterator[tuple[str, str, bytes]]:
    """Yield SCT lists."""
    one = SCT.encode()
    item = len(one).to_bytes(2, "big") + one

    def of(items: bytes) -> bytes:
        return len(items).to_bytes(2, "big") + items

    yield "one SCT", "RFC 6962 §3.3", SCT_LIST
    yield "two SCTs", "RFC 6962 §3.3", of(item * 2)
    yield "sixteen SCTs", "RFC 6962 §3.3", of(item * 16)
    yield "seventeen SCTs", "RFC 6962 §3.3", of(item * 17)
    yield "none", "RFC 6962 §3.3", of(b"")
    yield "nothing", "RFC 6962 §3.3", b""
    yield "an empty SCT", "RFC 6962 §3.3", of(b"\x00\x00")
    yield "a byte behind the list", "RFC 6962 §3.3", SCT_LIST + b"\x00"
    yield "a list that ends too early", "RFC 6962 §3.3", SCT_LIST[:-1]
    yield "a byte behind an SCT", "RFC 6962 §3.2", of((len(one) + 1).to_bytes(2, "big") + one + b"\x00")
    yield "version 2", "RFC 6962 §3.2", changed(SCT_LIST, 4, b"\x01")
    yield "a time beyond all clocks", "RFC 6962 §3.2", changed(SCT_LIST, 37, b"\xff")
    algorithm = SCT_LIST.index(b"\x04\x03", 45)
    yield "SHA-384", "RFC 5246 §7.4.1.4.1", changed(SCT_LIST, algorithm, b"\x05")
    yield "RSA", "RFC 5246 §7.4.1.4.1", changed(SCT_LIST, algorithm + 1, b"\x01")
    short = one[: algorithm - 4 + 2] + b"\x00\x00"
    yield "an empty signature", "RFC 6962 §3.2", of(len(short).to_bytes(2, "big") + short)


def buckets() -> Iterator[tuple[str, str, bytes]]:
    """Yield buckets of the label index."""
    labels = sorted(bytes([0xA0 + number]) * 32 for number in range(3))
    good = _bucket(4, 10, [(label, [number, 600 + number]) for number, label in enumerate(labels)])
    yield "a log's bucket", "log-formats", BUCKET
    yield "three labels", "log-formats", good
    yield "no labels", "log-formats", _bucket(4, 10, [])
    yield "depth 0", "log-formats", _bucket(0, 0, [(labels[0], [1])])
    yield "the deepest", "log-formats", _bucket(32, 0xA0A0A0A0, [(labels[0], [2**40 - 1])])
    yield "another version", "log-formats", changed(good, 0, b"\x02")
    yield "too deep", "log-formats", changed(good, 1, b"\x21")
    yield "a number beyond the depth", "log-formats", changed(good, 5, b"\x10")
    yield "another bucket's number", "log-formats", changed(good, 5, b"\x0b")
    yield "labels out of order", "log-formats", _bucket(4, 10, [(label, [1]) for label in reversed(labels)])
    yield "a label twice", "log-formats", _bucket(4, 10, [(labels[0], [1]), (labels[0], [2])])
    yield "the last label of another bucket", "log-formats", _bucket(4, 10, [(labels[0], [1]), (b"\xb0" * 32, [2])])
    yield "a label without leaves", "log-formats", _bucket(4, 10, [(labels[0], [])])
    yield "indices out of order", "log-formats", _bucket(4, 10, [(labels[0], [2, 1])])
    yield "an index twice", "log-formats", _bucket(4, 10, [(labels[0], [1, 1])])
    yield "an index too few", "log-formats", good[:-5]
    yield "a byte too many", "log-formats", good + b"\x00"
    yield "half a header", "log-formats", good[:9]
    yield "more labels than bytes", "log-formats", changed(good, 6, b"\xff\xff\xff\xff")


def _bucket(depth: int, number: int, leaves: list[tuple[bytes, list[int]]]) -> bytes:
    """Return a bucket's bytes, put together by hand."""
    head = bytes([1, depth]) + number.to_bytes(4, "big") + len(leaves).to_bytes(4, "big")
    counts = b"".join(len(indices).to_bytes(4, "big") for _, indices in leaves)
    indices = b"".join(index.to_bytes(5, "big") for _, places in leaves for index in places)
    return head + b"".join(label for label, _ in leaves) + counts + indices


def map_checkpoints() -> Iterator[tuple[str, str, str]]:
    """Yield texts of map checkpoints."""
    good = MAP_CHECKPOINT.text
    format_, origin, size, log_root, depth, labels, root, top = good.splitlines()
    segment, _, at = top.partition(" ")
    yield "a map checkpoint", "log-formats", good
    yield "of an empty log", "log-formats", LabelIndex.empty().checkpoint(Checkpoint(ORIGIN, 0, merkle.EMPTY_ROOT)).text
    for name, lines in {
        "another format": ("answerback label-index v2", origin, size, log_root, depth, labels, root, top),
        "more labels than entries": (format_, origin, size, log_root, depth, "601", root, top),
        "no labels": (format_, origin, size, log_root, "1", "0", root, top),
        "another depth": (format_, origin, size, log_root, "3", labels, root, top),
        "a leading zero": (format_, origin, size, log_root, depth, f"0{labels}", root, top),
        "a short root": (format_, origin, size, log_root, depth, labels, "AAAA", top),
        "no root": (format_, origin, size, log_root, depth, labels, top),
        "no place": (format_, origin, size, log_root, depth, labels, root),
        "a place in capitals": (format_, origin, size, log_root, depth, labels, root, top.upper()),
        "a place with a leading zero": (format_, origin, size, log_root, depth, labels, root, f"{segment} 0{at}"),
        "a place without a length": (format_, origin, size, log_root, depth, labels, root, segment),
        "a page of another length": (format_, origin, size, log_root, depth, labels, root, f"{top}0"),
        "a page nowhere": (format_, origin, size, log_root, depth, labels, root, f"{'0' * 16} {at}"),
        "a place beyond all segments": (format_, origin, size, log_root, depth, labels, root, f"{segment} 9{top[17:]}"),
        "a line too many": (format_, origin, size, log_root, depth, labels, root, top, "more"),
        "no origin": (format_, "", size, log_root, depth, labels, root, top),
    }.items():
        yield name, "log-formats", "".join(f"{line}\n" for line in lines)
    yield "no newline at the end", "log-formats", good[:-1]


def descriptions() -> Iterator[tuple[str, str, str]]:
    """Yield descriptions of logs."""
    good = json.loads(DESCRIPTION.to_json())
    shard = good["shards"][0]
    yield "a log", "log-formats", DESCRIPTION.to_json().decode()

    def log(**fields: object) -> str:
        return json.dumps(good | fields)

    def with_shard(**fields: object) -> str:
        return log(shards=[shard | fields])

    p384 = key("p384", ec.SECP384R1()).public_key()
    small_order = Ed25519Signer(ORIGIN, ed25519("log")).verifier.format()
    yield "no JSON", "log-formats", "log"
    yield "another version", "log-formats", log(version=2)
    yield "an unknown field", "log-formats", log(comment="none")
    yield "no shards", "log-formats", log(shards=[])
    yield "a shard twice", "log-formats", log(shards=[shard, shard])
    yield "an empty name", "log-formats", log(name="")
    yield "a name with a newline", "log-formats", log(operator="a\nb")
    yield "a URL with a slash at the end", "log-formats", log(submission_url="https://log.example/")
    yield "a URL with a query", "log-formats", log(monitoring_url="https://log.example?a=b")
    yield "an ftp URL", "log-formats", log(monitoring_url="ftp://log.example")
    yield "an unknown field of a shard", "log-formats", with_shard(depth=4)
    yield "a shard's name with a slash", "log-formats", with_shard(name="a/b")
    yield "an origin with a space", "log-formats", with_shard(origin="log example")
    yield "a key named after another origin", "log-formats", with_shard(origin="log.example/2026h2")
    yield "dates in the wrong order", "log-formats", with_shard(not_after_limit="2026-01-01T00:00:00Z")
    yield "a date without a zone", "log-formats", with_shard(not_after_limit="2026-07-01T00:00:00")
    yield "a date with one digit", "log-formats", with_shard(not_after_limit="2026-7-01T00:00:00Z")
    yield "a key that is no base64", "log-formats", with_shard(vrf_key="…")
    yield "base64 with loose bits", "RFC 4648 §3.5", with_shard(vrf_key=_loosened(shard["vrf_key"]))
    yield (
        "a VRF key of small order",
        "RFC 9381 §5.4.5",
        with_shard(vrf_key=base64.b64encode(b"\x01" + bytes(31)).decode()),
    )
    yield "a VRF key of 31 bytes", "RFC 9381 §5.4.5", with_shard(vrf_key=base64.b64encode(bytes(31)).decode())
    yield "an SCT key that is none", "RFC 5480 §2", with_shard(sct_key="AAAA")
    yield "an SCT key on P-384", "RFC 6962 §2.1.4", with_shard(sct_key=_spki(p384))
    yield "an SCT key of Ed25519", "RFC 6962 §2.1.4", with_shard(sct_key=_spki(ed25519("log").public_key()))
    yield (
        "a verifier key with another identifier",
        "C2SP signed-note",
        with_shard(
            checkpoint_key=small_order.replace("+", "+0", 1).replace(small_order.split("+")[1][-1] + "+", "+", 1)
        ),
    )


def _spki(public_key: Any) -> str:  # noqa: ANN401 - any public key has this method
    return base64.b64encode(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


# How each is read


def told_of_entry(found: SealedEntry) -> Json:
    """Return what an entry says."""
    return {
        "timestamp_ms": found.timestamp_ms,
        "label": found.label.hex(),
        "issuer_key_hash": found.issuer_key_hash.hex(),
        "commitment": found.commitment.hex(),
    }


def told_of_note(note: Note) -> Json:
    """Return what a note says."""
    return {
        "text": note.text,
        "signatures": [f"{line.name} {line.key_id.hex()} {line.signature.hex()}" for line in note.signatures],
    }


def told_of_checkpoint(checkpoint: Checkpoint) -> Json:
    """Return what a checkpoint says."""
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "extensions": list(checkpoint.extensions),
    }


def told_of_certificate(certificate: x509.Certificate) -> Json:
    """Return what the log promised for a certificate."""
    number = NumberCertificate.read(certificate)
    (sct,) = decode_sct_list(number.sct_list or b"")
    index, leaf = SHARD.check_sct(sct, number.number, ISSUER_HASH, tbs_of(certificate))
    return {"index": index, "entry": told_of_entry(leaf)}


def told_of_bucket(bucket: Bucket) -> Json:
    """Return what a bucket says."""
    leaves = {label.hex(): list(indices) for label, indices in bucket.leaves.items()}
    return {"depth": bucket.depth, "number": bucket.number, "leaves": leaves}


def told_of_map(checkpoint: MapCheckpoint) -> Json:
    """Return what a map checkpoint says."""
    log = told_of_checkpoint(checkpoint.log)
    return {"log": log, "depth": checkpoint.depth, "labels": checkpoint.labels, "root": checkpoint.root.hex()}


def told_of_proof(proof: TlogProof) -> Json:
    """Return what a proof proves of the certificate's entry."""
    checkpoint = proof.verify(merkle.leaf_hash(ENTRY.to_bytes()), LOG.verifier, POLICY)
    extra = None if proof.extra is None else proof.extra.hex()
    return {"index": proof.index, "checkpoint": told_of_checkpoint(checkpoint), "extra": extra}


def told_of_tile(tile: TileCoordinates) -> Json:
    """Return where a tile stands."""
    return {"level": tile.level, "index": tile.index, "width": tile.width}


READERS: dict[str, Callable[[str], Json]] = {
    "entry": lambda text: told_of_entry(SealedEntry.from_bytes(base64.b64decode(text))),
    "bundle": lambda text: {"entries": [leaf.hex() for leaf in decode_bundle(base64.b64decode(text), 3)]},
    "tile_path": lambda text: told_of_tile(TileCoordinates.parse(text)),
    "note": lambda text: told_of_note(Note.parse(text.encode())),
    "checkpoint": lambda text: told_of_checkpoint(Checkpoint.parse(text)),
    "proof": lambda text: told_of_proof(TlogProof.parse(text.encode())),
    "certificate": lambda text: told_of_certificate(load_certificate(base64.b64decode(text))),
    "sct_list": lambda text: {"scts": [sct.encode().hex() for sct in decode_sct_list(base64.b64decode(text))]},
    "bucket": lambda text: told_of_bucket(Bucket.decode(base64.b64decode(text))),
    "map_checkpoint": lambda text: told_of_map(MapCheckpoint.parse(text)),
    "log_description": lambda text: json.loads(LogDescription.from_json(text.encode()).to_json()),
}
"""How each format is read, from the text in its vectors to what is expected of it."""

CASES: dict[str, Callable[[], Iterator[tuple[str, str, str | bytes]]]] = {
    "entry": entries,
    "bundle": bundles,
    "tile_path": tile_paths,
    "note": notes,
    "checkpoint": checkpoints,
    "proof": proofs,
    "certificate": certificates,
    "sct_list": sct_lists,
    "bucket": buckets,
    "map_checkpoint": map_checkpoints,
    "log_description": descriptions,
}


def outcome(read: Callable[[], Json]) -> Json:
    """Return what is read, or the error."""
    try:
        return {"expect": read()}
    except TransparencyError as error:
        return {"error": {"class": type(error).__name__, "message": str(error)}}


def cases(kind: str) -> list[Json]:
    """Return the cases of one format, each with what comes of it."""
    found = []
    for name, section, given in CASES[kind]():
        text = base64.b64encode(given).decode() if isinstance(given, bytes) else given
        found.append({"name": name, "section": section, "input": text} | outcome(lambda text=text: READERS[kind](text)))
    return found


def tree() -> list[Json]:
    """Return roots and proofs of the log's tree at many sizes, made from its leaves as RFC 6962 defines them."""
    sizes = (0, 1, 2, 3, 7, 8, 255, 256, 257, 300, 511, 512, 600)
    return [
        {
            "leaves": [leaf.hex() for leaf in LEAVES],
            "roots": {str(size): plain_tree.root(LEAVES[:size]).hex() for size in sizes},
            "inclusion": [
                {"index": index, "size": size, "proof": [part.hex() for part in plain_tree.path(index, LEAVES[:size])]}
                for size in sizes[1:]
                for index in sorted({0, size // 2, size - 1})
            ],
            "consistency": [
                {"old": old, "new": new, "proof": [part.hex() for part in plain_tree.consistency(old, LEAVES[:new])]}
                for old, new in chain(pairwise(sizes[1:]), ((size, SIZE) for size in sizes[1:]))
            ],
        }
    ]


def numbers() -> list[Json]:
    """Return labels and commitments of numbers, by the log's VRF key."""
    found = []
    for number in (NUMBER, OTHER_NUMBER, TelephoneNumber.parse("+442079460018")):
        alpha = vrf_input(ORIGIN, number)
        proof = VRF_KEY.prove(alpha)
        label = entry.label(VRF_KEY.public_key.verify(alpha, proof))
        found.append(
            {
                "vrf_public_key": VRF_KEY.public_key.data.hex(),
                "origin": ORIGIN,
                "number": number.e164,
                "alpha": alpha.hex(),
                "proof": proof.hex(),
                "label": label.hex(),
                "opening": OPENING.hex(),
                "tbs": b"any certificate".hex(),
                "commitment": entry.commitment(OPENING, label, b"any certificate").hex(),
            }
        )
    return found


def files() -> list[Json]:
    """Return the paths and hashes of everything that the log publishes."""
    published = TILES | BUNDLES | SEGMENTS | {"checkpoint": NOTE.to_bytes()}
    published["index/checkpoint"] = MAP_CHECKPOINT.to_note([LOG])
    return [
        {"path": path, "sha256": sha256(data).hexdigest(), "size": len(data)}
        for path, data in sorted(published.items())
    ]


def vectors() -> dict[str, list[Json]]:
    """Return every case, by the name of its file."""
    return {kind: cases(kind) for kind in CASES} | {"tree": tree(), "number": numbers(), "file": files()}


def written(found: list[Json]) -> str:
    """Return a file's text."""
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, found in vectors().items():
        (FOLDER / f"{name}.json").write_text(written(found), encoding="utf-8")


if __name__ == "__main__":
    main()
