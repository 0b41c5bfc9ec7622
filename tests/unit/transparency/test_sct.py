from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes as algorithms
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from stir.certificate import NumberCertificate, load_certificate
from stir.certificate_building import number_certificate
from tests.unit.transparency.strategies import sct_extensions, scts
from tests.vectors.make_stir_vectors import (
    ISSUING,
    ISSUING_KEY,
    LEAF,
    NUMBER,
    NUMBER_FIELDS,
    OTHER_NUMBER,
    ROOT,
    signed,
    version_1,
)
from tests.vectors.make_transparency_vectors import (
    CERTIFICATE,
    ENTRY,
    EXTENSIONS,
    ISSUER_HASH,
    ORIGIN,
    PLACE,
    PRECERTIFICATE,
    SCT,
    SCT_KEY,
    SCT_LIST,
    SHARD,
    TBS,
    TIMESTAMP,
    VRF_KEY,
)
from transparency.errors import SctError, TransparencyError, VrfError
from transparency.sct import (
    MOST_SCTS,
    OPENING,
    VRF_PROOF,
    SctExtensions,
    SignedCertificateTimestamp,
    decode_sct_list,
    encode_sct_list,
    log_id_of,
    sealed_entry,
    sign_sct,
    signed_data,
    tbs_of,
)

sct_lists = st.lists(scts, min_size=1, max_size=4).map(tuple)


# SCTs and their lists


@given(scts)
def test_an_sct_survives_its_bytes(sct: SignedCertificateTimestamp) -> None:
    """Every SCT has one encoding."""
    assert SignedCertificateTimestamp.decode(sct.encode()) == sct


@given(scts)
def test_an_sct_survives_a_logs_answer(sct: SignedCertificateTimestamp) -> None:
    """What add-pre-chain answers is read by who asked (RFC 6962 §4.1)."""
    assert SignedCertificateTimestamp.from_response(json.loads(json.dumps(sct.to_response()))) == sct


@given(sct_lists)
def test_a_list_survives_its_bytes(found: tuple[SignedCertificateTimestamp, ...]) -> None:
    """Every list has one encoding."""
    assert decode_sct_list(encode_sct_list(found)) == found


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda tail: SCT.encode()[:45] + tail))
def test_any_bytes_give_an_sct_or_this_rooms_error(data: bytes) -> None:
    """What is read as an SCT is written as the same bytes."""
    try:
        sct = SignedCertificateTimestamp.decode(data)
    except SctError:
        return
    assert sct.encode() == data


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda tail: SCT_LIST[:20] + tail))
def test_any_bytes_give_a_list_or_this_rooms_error(data: bytes) -> None:
    """What is read as a list is written as the same bytes."""
    try:
        found = decode_sct_list(data)
    except SctError:
        return
    assert encode_sct_list(found) == data


@pytest.mark.parametrize("count", [0, MOST_SCTS + 1])
def test_a_list_has_1_to_16_scts(count: int) -> None:
    """An empty list says nothing, and a long one is an attack."""
    with pytest.raises(SctError, match="1 to 16 SCTs"):
        encode_sct_list([SCT] * count)


def test_a_list_fits_its_length() -> None:
    """RFC 6962 §3.3 gives a list two bytes of length."""
    large = replace(SCT, extensions=bytes(40_000))
    with pytest.raises(SctError, match="too large"):
        encode_sct_list([large, large])
    with pytest.raises(SctError, match="too large"):
        encode_sct_list([replace(SCT, extensions=bytes(65_535))])


@pytest.mark.parametrize(
    "fields",
    [
        {"log_id": bytes(31)},
        {"timestamp_ms": -1},
        {"timestamp_ms": 2**63},
        {"extensions": bytes(65_536)},
        {"signature": b""},
        {"signature": bytes(65_536)},
    ],
)
def test_an_sct_that_has_no_encoding_cannot_exist(fields: dict[str, object]) -> None:
    """Values are held to the format when they are made."""
    with pytest.raises(SctError):
        replace(SCT, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"sct_version": 1},
        {"sct_version": False},
        {"sct_version": 0.0},
        {"sct_version": None},
        {"id": 5},
        {"id": "AAAA"},
        {"id": "…"},
        {"timestamp": "1"},
        {"timestamp": True},
        {"timestamp": -1},
        {"extensions": "AB=="},
        {"signature": "AAAA"},
        {"signature": "BQMAAXg="},
        {"signature": "BAMAAXh4"},
        {"more": 1},
    ],
    ids=str,
)
def test_a_logs_answer_has_its_form(change: dict[str, object]) -> None:
    """A field too many, a wrong type, another algorithm, loose bits in base64: all are refused (RFC 6962 §4.1)."""
    with pytest.raises(SctError):
        SignedCertificateTimestamp.from_response(SCT.to_response() | change)


@pytest.mark.parametrize("missing", ["sct_version", "id", "timestamp", "extensions", "signature"])
def test_a_logs_answer_is_whole(missing: str) -> None:
    """Every field is needed (RFC 6962 §4.1)."""
    answer = SCT.to_response()
    del answer[missing]
    with pytest.raises(SctError, match="a log's answer has"):
        SignedCertificateTimestamp.from_response(answer)


# Extensions


@given(sct_extensions)
def test_extensions_survive_their_bytes(extensions: SctExtensions) -> None:
    """What a log says is what is read."""
    assert SctExtensions.decode(extensions.encode()) == extensions


def test_extensions_are_laid_out_as_documented() -> None:
    """Type, length and value of leaf index, VRF proof and opening."""
    data = SctExtensions(299, b"p" * 80, b"o" * 16).encode()
    assert data == b"\x00\x00\x05\x00\x00\x00\x01\x2b" + b"\xe0\x00\x50" + b"p" * 80 + b"\xe1\x00\x10" + b"o" * 16
    assert (VRF_PROOF, OPENING) == (0xE0, 0xE1)


@given(st.binary(max_size=30) | st.binary(max_size=20).map(lambda tail: EXTENSIONS.encode() + tail))
def test_any_bytes_give_extensions_or_this_rooms_error(data: bytes) -> None:
    """Reading raises this room's error and nothing else."""
    try:
        found = SctExtensions.decode(data)
    except SctError:
        return
    assert found == EXTENSIONS


@pytest.mark.parametrize(
    "fields", [{"leaf_index": -1}, {"leaf_index": 2**40}, {"vrf_proof": bytes(79)}, {"opening": bytes(17)}]
)
def test_extensions_that_have_no_encoding_cannot_exist(fields: dict[str, object]) -> None:
    """Values are held to the format when they are made."""
    with pytest.raises(SctError):
        replace(EXTENSIONS, **fields)  # type: ignore[arg-type]


# What a log signs


def test_a_log_signs_the_same_bytes_each_time() -> None:
    """An SCT that is asked for again is the same (RFC 6979)."""
    assert sign_sct(SCT_KEY, ISSUER_HASH, TBS, TIMESTAMP, EXTENSIONS) == SCT


def test_an_sct_is_signed_over_rfc_6962s_struct() -> None:
    """Version, type, time, entry type, issuer, TBS and extensions (RFC 6962 §3.2)."""
    data = (
        b"\x00\x00"
        + TIMESTAMP.to_bytes(8, "big")
        + b"\x00\x01"
        + ISSUER_HASH
        + len(TBS).to_bytes(3, "big")
        + TBS
        + len(SCT.extensions).to_bytes(2, "big")
        + SCT.extensions
    )
    assert signed_data(ISSUER_HASH, TBS, TIMESTAMP, SCT.extensions) == data
    SCT_KEY.public_key().verify(SCT.signature, data, ec.ECDSA(algorithms.SHA256()))


@pytest.mark.parametrize(("hash_", "tbs"), [(bytes(31), b"x"), (bytes(32), b""), (bytes(32), bytes(2**24))])
def test_a_log_signs_what_has_an_encoding(hash_: bytes, tbs: bytes) -> None:
    """No issuer's hash of another length, and no TBS that its length cannot tell."""
    with pytest.raises(SctError, match="issuer's key hash"):
        signed_data(hash_, tbs, 0, b"")


def test_an_sct_verifies() -> None:
    """By the log's key, for the certificate and its issuer."""
    SCT.verify(SCT_KEY.public_key(), ISSUER_HASH, TBS)


def test_an_sct_is_of_its_log() -> None:
    """Another log's key has another identifier."""
    with pytest.raises(SctError, match="another log"):
        SCT.verify(ISSUING_KEY.public_key(), ISSUER_HASH, TBS)


@pytest.mark.parametrize(("hash_", "tbs"), [(bytes(32), TBS), (ISSUER_HASH, TBS + b"x"), (ISSUER_HASH, b"other")])
def test_an_sct_is_for_its_certificate_and_issuer(hash_: bytes, tbs: bytes) -> None:
    """It does not speak for another."""
    with pytest.raises(SctError, match="signature is wrong"):
        SCT.verify(SCT_KEY.public_key(), hash_, tbs)


@given(st.data())
def test_a_corrupt_byte_anywhere_in_an_sct_is_found(data: st.DataObject) -> None:
    """No byte of an SCT is free."""
    broken = bytearray(SCT.encode())
    broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(TransparencyError):
        SHARD.check_sct(SignedCertificateTimestamp.decode(bytes(broken)), NUMBER, ISSUER_HASH, TBS)


# The entry that is promised


def test_an_sct_promises_the_entry_that_the_log_shows() -> None:
    """Index and entry follow from the SCT and the certificate."""
    assert sealed_entry(SCT, VRF_KEY.public_key, ORIGIN, NUMBER, ISSUER_HASH, TBS) == (PLACE, ENTRY)


def test_a_certificate_is_filed_under_its_own_number() -> None:
    """A log and an authority that collude cannot file it where the owner does not look."""
    with pytest.raises(VrfError, match="not this number's"):
        sealed_entry(SCT, VRF_KEY.public_key, ORIGIN, OTHER_NUMBER, ISSUER_HASH, TBS)


def test_a_label_is_of_its_shard() -> None:
    """The proof of one shard is none in another, though the key were the same."""
    with pytest.raises(VrfError):
        sealed_entry(SCT, VRF_KEY.public_key, "log.example/2026h2", NUMBER, ISSUER_HASH, TBS)


def test_another_opening_is_another_commitment() -> None:
    """The log must show the commitment that the certificate opens."""
    other = replace(SCT, extensions=replace(EXTENSIONS, opening=bytes(16)).encode())
    _, leaf = sealed_entry(other, VRF_KEY.public_key, ORIGIN, NUMBER, ISSUER_HASH, TBS)
    assert leaf != ENTRY
    assert replace(leaf, commitment=ENTRY.commitment) == ENTRY


# Taking the TBS out of a certificate


def test_precertificate_and_certificate_have_one_tbs() -> None:
    """Without the poison, and without the SCT list (RFC 6962 §3.2)."""
    assert tbs_of(PRECERTIFICATE) == tbs_of(CERTIFICATE) == tbs_of(LEAF) == LEAF.tbs_certificate_bytes


def test_the_tbs_is_that_of_cryptography() -> None:
    """Another implementation takes the SCT list out to the same bytes."""
    assert tbs_of(CERTIFICATE) == CERTIFICATE.tbs_precertificate_bytes


@pytest.mark.parametrize("certificate", [ROOT, ISSUING, LEAF])
def test_a_certificate_that_was_not_logged_is_as_it_was(certificate: x509.Certificate) -> None:
    """Nothing is taken out where nothing is to be taken out."""
    assert tbs_of(certificate) == certificate.tbs_certificate_bytes


def test_a_certificate_without_extensions_is_as_it_was() -> None:
    """Version 1 has none."""
    old = load_certificate(version_1())
    assert tbs_of(old) == old.tbs_certificate_bytes


@pytest.mark.parametrize("size", [1, 20, 80, 120, 200, 60_000])
def test_lengths_of_every_size_are_written(size: int) -> None:
    """Whatever stands in a certificate, both implementations agree on it."""
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), bytes(size))
    builder = number_certificate(NUMBER_FIELDS, ISSUING, SCT_LIST).add_extension(unknown, critical=False)
    certificate = signed(builder, ISSUING_KEY)
    assert tbs_of(certificate) == certificate.tbs_precertificate_bytes


def test_a_short_certificate_is_written() -> None:
    """Lengths below 128 take one byte."""
    sct_list = CERTIFICATE.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps)
    builder = (
        x509.CertificateBuilder()
        .issuer_name(x509.Name([]))
        .subject_name(x509.Name([]))
        .public_key(NUMBER_FIELDS.public_key)
        .serial_number(1)
        .not_valid_before(NUMBER_FIELDS.not_before)
        .not_valid_after(NUMBER_FIELDS.not_after)
        .add_extension(x509.UnrecognizedExtension(sct_list.oid, sct_list.value.public_bytes()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
    )
    certificate = signed(builder, ISSUING_KEY)
    assert tbs_of(certificate) == certificate.tbs_precertificate_bytes


def test_a_certificate_with_poison_and_sct_list_is_neither() -> None:
    """Nobody can tell what a log would have signed for it (RFC 6962 §3.2)."""
    builder = number_certificate(NUMBER_FIELDS, ISSUING, SCT_LIST).add_extension(x509.PrecertPoison(), critical=True)
    with pytest.raises(SctError, match="not both"):
        tbs_of(signed(builder, ISSUING_KEY))


def test_a_logs_identifier_is_the_hash_of_its_key() -> None:
    """The SHA-256 of the SubjectPublicKeyInfo (RFC 6962 §3.2), as every verifier takes it."""
    read = x509.load_der_x509_certificate(CERTIFICATE.public_bytes(Encoding.DER))
    (found,) = read.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
    assert found.log_id == log_id_of(SCT_KEY.public_key()) == SHARD.log_id


def test_another_library_reads_the_same_sct() -> None:
    """What `cryptography` finds in the certificate is what the log gave."""
    (found,) = CERTIFICATE.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
    assert (found.extension_bytes, found.signature) == (SCT.extensions, SCT.signature)
    assert decode_sct_list(NumberCertificate.read(CERTIFICATE).sct_list or b"") == (SCT,)
