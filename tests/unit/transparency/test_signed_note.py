from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transparency.strategies import names, notes, signatures, texts
from transparency.errors import NoteError
from transparency.signed_note import (
    ED25519,
    LARGEST_NOTE,
    Ed25519Signer,
    Ed25519Verifier,
    Note,
    NoteSignature,
    decode_base64,
    encode_base64,
    format_verifier_key,
    key_id,
    open_note,
    parse_verifier_key,
    sign_note,
)

LOG = Ed25519Signer("log.example/2026h1", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Ed25519Signer("other.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))
TEXT = "è subito sera\n\nand more\n"
SIGNED = sign_note(TEXT, [LOG])


@given(notes)
def test_a_note_survives_its_bytes(note: Note) -> None:
    """Every note has one encoding."""
    assert Note.parse(note.to_bytes()) == note


@given(
    st.binary(max_size=100)
    | st.text(max_size=60).map(lambda text: f"{text}\n\n— a QUFBQUE=\n".encode("utf-8", "replace"))
)
def test_any_bytes_give_a_note_or_this_rooms_error(data: bytes) -> None:
    """What is read as a note is written as the same bytes."""
    try:
        note = Note.parse(data)
    except NoteError:
        return
    assert note.to_bytes() == data


@given(texts)
def test_a_signed_text_is_opened_by_its_signers_key(text: str) -> None:
    """Whoever knows the key reads the text."""
    assert open_note(sign_note(text, [LOG]).to_bytes(), [LOG.verifier]).text == text


@given(st.data())
def test_a_corrupt_byte_anywhere_is_found(data: st.DataObject) -> None:
    """No byte of a note that one key signed is free."""
    broken = bytearray(SIGNED.to_bytes())
    broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(NoteError):
        open_note(bytes(broken), [LOG.verifier])


def test_a_note_that_no_known_key_signed_is_nobodys() -> None:
    """A text is ignored unless a trusted key signed it (C2SP signed-note)."""
    with pytest.raises(NoteError, match=r"signed by none of: other\.example"):
        open_note(SIGNED.to_bytes(), [OTHER.verifier])
    with pytest.raises(NoteError, match="no known key"):
        open_note(SIGNED.to_bytes(), [])


def test_signatures_by_unknown_keys_are_passed_over() -> None:
    """Even one that shares its name, or its identifier, with a known key (C2SP signed-note)."""
    renamed = Ed25519Signer(LOG.name, OTHER.key)
    strange = NoteSignature("stranger.example", LOG.key_id, bytes(64))
    note = sign_note(TEXT, [renamed, LOG]).with_signatures([strange])
    assert note.verified_by([LOG.verifier]) == (note.signatures[1],)


def test_a_wrong_signature_by_a_known_key_is_no_accident() -> None:
    """The note is refused, though another known key signed it too (C2SP signed-note)."""
    wrong = NoteSignature(LOG.name, LOG.key_id, bytes(64))
    note = sign_note(TEXT, [OTHER]).with_signatures([wrong])
    with pytest.raises(NoteError, match="is wrong"):
        note.verified_by([OTHER.verifier, LOG.verifier])


@pytest.mark.parametrize("size", [1, 63, 65])
def test_a_signature_of_another_length_is_wrong(size: int) -> None:
    """Ed25519 signatures have 64 bytes."""
    note = Note(TEXT, (NoteSignature(LOG.name, LOG.key_id, SIGNED.signatures[0].signature[:1] * size),))
    with pytest.raises(NoteError, match="is wrong"):
        note.verified_by([LOG.verifier])


def test_a_key_counts_once() -> None:
    """A key that signed twice is one key."""
    note = Note(TEXT, SIGNED.signatures * 2)
    assert note.verified_by([LOG.verifier]) == SIGNED.signatures


def test_a_signature_is_not_added_twice() -> None:
    """A cosigner that is asked again changes nothing."""
    assert SIGNED.with_signatures(SIGNED.signatures) == SIGNED


def test_a_line_names_a_key_by_name_and_identifier() -> None:
    """Neither is enough alone."""
    (line,) = SIGNED.signatures
    assert line.is_by(LOG)
    assert not line.is_by(OTHER)
    assert not line.is_by(Ed25519Signer(LOG.name, OTHER.key))


@given(signatures)
def test_a_signature_survives_its_line(signature: NoteSignature) -> None:
    """Every signature has one line."""
    assert NoteSignature.parse(signature.format()) == signature


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\u2003b", "a\u00a0b", "a\tb", "a\nb", "a\x01b", "é" * 128, "\ud800"]
)
def test_a_keys_name_fits_a_line(name: str) -> None:
    """Neither spaces of any kind nor a plus (C2SP signed-note)."""
    with pytest.raises(NoteError, match="a key's name"):
        NoteSignature(name, bytes(4), b"x")
    with pytest.raises(NoteError, match="a key's name"):
        Ed25519Verifier(name, LOG.verifier.public_key)


@pytest.mark.parametrize(("key_id_", "signature"), [(bytes(3), b"x"), (bytes(5), b"x"), (bytes(4), b"")])
def test_a_signature_has_an_identifier_and_bytes(key_id_: bytes, signature: bytes) -> None:
    """What could not be told from another is refused."""
    with pytest.raises(NoteError, match="identifier of 4 bytes"):
        NoteSignature("name", key_id_, signature)


@pytest.mark.parametrize("text", ["", "no newline", "a\rb\n", "a\x00b\n", "\ud800\n"])
def test_a_text_is_lines(text: str) -> None:
    """A text ends in a newline and has no control characters (C2SP signed-note)."""
    with pytest.raises(NoteError, match="ends in a newline"):
        sign_note(text, [LOG])


@pytest.mark.parametrize("count", [0, 65])
def test_a_note_has_1_to_64_signatures(count: int) -> None:
    """A note without a signature is no note, and one with thousands is an attack."""
    with pytest.raises(NoteError, match="1 to 64 signatures"):
        Note(TEXT, SIGNED.signatures * count)


def test_a_note_has_an_end() -> None:
    """A huge note is refused before it is read."""
    with pytest.raises(NoteError, match="at most"):
        Note.parse(b"a" * (LARGEST_NOTE + 1))


def test_sixteen_post_quantum_signatures_fit() -> None:
    """C2SP asks readers to take 16 signatures, of up to 5 kB."""
    large = [NoteSignature(f"witness.example/{number}", bytes(4), bytes(5000)) for number in range(16)]
    note = SIGNED.with_signatures(large)
    assert open_note(note.to_bytes(), [LOG.verifier]) == note


# Verifier keys


@given(names)
def test_a_verifier_key_survives_its_text(name: str) -> None:
    """What an operator hands out is what others read."""
    verifier = Ed25519Verifier(name, LOG.verifier.public_key)
    assert Ed25519Verifier.parse(verifier.format()) == verifier


@given(st.text(max_size=60) | st.from_regex(r"\A[a-z]{1,3}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{0,8}={0,2}\Z"))
def test_any_text_gives_a_verifier_key_or_this_rooms_error(text: str) -> None:
    """What is read as a key is written as the same text."""
    try:
        verifier = Ed25519Verifier.parse(text)
    except NoteError:
        return
    assert verifier.format() == text


@given(st.data())
def test_a_verifier_key_that_was_copied_wrongly_is_found(data: st.DataObject) -> None:
    """Its identifier is a checksum over name and key."""
    text = LOG.verifier.format()
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("abcXYZ019+/=. é"))
    if text[place] == letter:
        return
    with pytest.raises(NoteError):
        Ed25519Verifier.parse(text[:place] + letter + text[place + 1 :])


def test_a_key_identifier_is_that_of_c2sp() -> None:
    """The example of C2SP signed-note: the identifier is SHA-256(name, newline, type, key), cut to 4 bytes."""
    name, public_key = parse_verifier_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", ED25519)
    assert key_id(name, ED25519, public_key).hex() == "c74f20a3"


def test_a_verifier_key_has_its_type() -> None:
    """A witness's key is not taken for a log's."""
    with pytest.raises(NoteError, match="signature type 0x01"):
        Ed25519Verifier.parse(format_verifier_key("w.example", 4, LOG.verifier.public_key))


@pytest.mark.parametrize("public_key", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32, bytes(31)])
def test_a_key_that_any_signature_fits_is_refused(public_key: bytes) -> None:
    """A point of small order verifies what nobody signed."""
    with pytest.raises(NoteError, match="large subgroup"):
        Ed25519Verifier("log.example", public_key)


def test_a_signer_does_not_print_its_key() -> None:
    """A private key is in no log line."""
    assert repr(LOG) == "Ed25519Signer(name='log.example/2026h1')"


# Base64


@given(st.binary(max_size=60))
def test_base64_survives(data: bytes) -> None:
    """What is written is read."""
    assert decode_base64(encode_base64(data)) == data


@given(st.text("ABCabc019+/=-_ \n", max_size=12))
def test_bytes_have_one_base64(text: str) -> None:
    """No two texts stand for the same bytes (RFC 4648 §3.5)."""
    try:
        data = decode_base64(text)
    except NoteError:
        return
    assert encode_base64(data) == text


def test_base64_is_ascii() -> None:
    """Digits of other scripts are no base64."""
    with pytest.raises(NoteError, match="base64"):
        decode_base64("\u0660\u0660\u0660\u0660")
