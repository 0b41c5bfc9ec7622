from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.errors import RecordError
from number_directory.record import (
    LARGEST_RECORD,
    LARGEST_SECTION,
    TYPE,
    Medium,
    Record,
    SignedRecord,
    latest_expiry,
    sign_record,
)
from stir.jws import encode_base64url
from tests.fakes.directory_statements import (
    CHAT,
    EXPIRES_AT,
    ISSUED_AT,
    OTHER_KEY,
    OWNER,
    SALT,
    SECOND,
    dumps,
    forged,
    published,
    record,
    withdrawn,
)
from tests.fakes.small_pki import CALLED, NOW, root
from tests.unit.number_directory.strategies import json_values, records, withdrawals

DISCLOSURE = encode_base64url(dumps([encode_base64url(SALT), "media", ["message"]]))
DIGEST = encode_base64url(sha256(DISCLOSURE.encode()).digest())
CLAIMS: dict[str, object] = {
    "_sd": [DIGEST],
    "app": CHAT,
    "exp": EXPIRES_AT,
    "iat": ISSUED_AT,
    "seq": 1,
    "tn": CALLED.e164,
    "uris": ["https://chat.example/u/1"],
}


def disclosed(media: object, salt: str = encode_base64url(SALT), name: str = "media") -> str:
    """Return a record whose owner signed any disclosure."""
    disclosure = media if isinstance(media, str) else encode_base64url(dumps([salt, name, media]))
    digest = encode_base64url(sha256(disclosure.encode()).digest())
    return f"{forged(TYPE, CLAIMS | {'_sd': [digest]})}~{disclosure}~"


@given(records | withdrawals)
def test_a_record_survives_its_text(stated: Record) -> None:
    """What is signed is read back, and its key verifies it."""
    read = SignedRecord.parse(sign_record(stated, OWNER.key, OWNER.chain, [SECOND.chain]))
    read.verify(OWNER.key.public_key())
    assert read.record == stated
    assert read.is_whole
    assert (read.number, read.app, read.sequence, read.issued_at) == (
        stated.number,
        stated.app,
        stated.sequence,
        stated.issued_at,
    )


@given(records)
def test_the_media_can_be_left_out_and_nothing_else_changes(stated: Record) -> None:
    """RFC 9901 §4: the JWS is the same with or without its disclosure."""
    whole = SignedRecord.parse(sign_record(stated, OWNER.key, OWNER.chain))
    without = SignedRecord.parse(whole.without_media)
    assert without.record == replace(stated, media=None)
    assert not without.is_whole
    assert without.hash == whole.hash
    assert without.content == whole.content
    without.verify(OWNER.key.public_key())


def test_a_record_is_an_sd_jwt() -> None:
    """RFC 9901 §4.2: the form that other readers of the standard take."""
    token = published().token
    signed, disclosure, end = token.split("~")
    assert (disclosure, end) == (DISCLOSURE, "")
    assert json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "==")) == CLAIMS
    assert f"{forged(TYPE, CLAIMS)}~{DISCLOSURE}~" == token


def test_a_record_without_its_media_does_not_tell_whether_it_has_any() -> None:
    """A reader who may not see the media sees a digest of fixed length, also of none."""
    none = SignedRecord.parse(sign_record(record(media=frozenset()), OWNER.key, OWNER.chain))
    some = SignedRecord.parse(sign_record(record(media=frozenset(Medium)), OWNER.key, OWNER.chain))
    assert len(none.without_media) == len(some.without_media)
    assert none.record.media == frozenset()


def test_nobody_guesses_the_media_from_the_digest() -> None:
    """RFC 9901 §9.3: each record has a salt of its own."""
    first, second = (SignedRecord.parse(sign_record(record(), OWNER.key, OWNER.chain)) for _ in range(2))
    assert first.content != second.content


def test_a_directory_forges_no_media() -> None:
    """RFC 9901 §7.1: media that the owner did not sign are refused, whoever hands them out."""
    video = SignedRecord.parse(sign_record(record(media=frozenset({Medium.VIDEO})), OWNER.key, OWNER.chain))
    signed = published()
    with pytest.raises(RecordError, match="not those that were signed"):
        SignedRecord.parse(f"{signed.signed_text}~{video.token.split('~')[1]}~")


@pytest.mark.parametrize("ending", ["", "~~", "~a", "~a~", f"~{DISCLOSURE}", f"~{DISCLOSURE}~{DISCLOSURE}~", "~é~"])
def test_a_record_ends_in_a_tilde_and_has_one_disclosure_at_most(ending: str) -> None:
    """RFC 9901 §4: <JWS>~ or <JWS>~<disclosure>~."""
    with pytest.raises(RecordError):
        SignedRecord.parse(published().signed_text + ending)


@pytest.mark.parametrize(
    "token",
    [
        disclosed(["video", "audio"]),
        disclosed(["audio", "audio"]),
        disclosed(["smell"]),
        disclosed("audio"),
        disclosed(["audio"], name="uris"),
        disclosed(["audio"], salt="c2FsdA"),
        disclosed(["audio"], salt="no salt"),
        disclosed("AA=="),
        disclosed(encode_base64url(b'["' + encode_base64url(SALT).encode() + b'", "media", ["audio"]]')),
        disclosed(encode_base64url(b"[]")),
        disclosed(encode_base64url(b"\xff")),
    ],
)
def test_a_disclosure_has_one_form(token: str) -> None:
    """RFC 9901 §4.2.1: a salt, the claim's name, its value; sorted media, without white space."""
    with pytest.raises(RecordError):
        SignedRecord.parse(token)


@pytest.mark.parametrize(
    "change",
    [
        {"_sd": []},
        {"_sd": [DIGEST, DIGEST]},
        {"_sd": ["A" * 42 + "B"]},
        {"_sd": ["AAAA"]},
        {"_sd": None},
        {"uris": None},
        {"uris": []},
        {"uris": ["https://chat.example/u/1"] * 2},
        {"uris": ["chat.example"]},
        {"uris": ["https://chat.example/é"]},
        {"uris": ["https://chat.example/%zz"]},
        {"uris": ["https://chat.example/ "]},
        {"uris": ["https://chat.example/" + "a" * 500]},
        {"uris": [f"sip:{number}@chat.example" for number in range(17)]},
        {"app": "chat"},
        {"app": "Chat.example"},
        {"app": "-chat.example"},
        {"app": "chat.example."},
        {"app": "a." * 126 + "aa"},
        {"app": "é.example"},
        {"exp": ISSUED_AT},
        {"exp": 2**53},
        {"media": ["audio"]},
        {"section": ""},
        {"section": "AA=="},
        {"section": encode_base64url(bytes(LARGEST_SECTION + 1))},
        {"_sd_alg": "sha-256"},
    ],
)
def test_claims_outside_the_format_are_refused(change: dict[str, object]) -> None:
    """A record that was read is one that can be signed."""
    claims = {name: value for name, value in (CLAIMS | change).items() if value is not None}
    with pytest.raises(RecordError):
        SignedRecord.parse(f"{forged(TYPE, claims)}~")


def test_a_withdrawal_has_no_section() -> None:
    """A withdrawn record says nothing more."""
    claims = {name: value for name, value in CLAIMS.items() if name not in {"_sd", "uris"}}
    assert SignedRecord.parse(f"{forged(TYPE, claims)}~").record == withdrawn(sequence=1)
    for token in (f"{forged(TYPE, claims | {'section': 'AAAA'})}~", f"{forged(TYPE, claims)}~{DISCLOSURE}~"):
        with pytest.raises(RecordError):
            SignedRecord.parse(token)
    with pytest.raises(RecordError, match="withdrawn"):
        replace(withdrawn(), media=frozenset())


def test_the_preference_of_uris_is_kept() -> None:
    """The first is the one that the owner likes best."""
    uris = ("https://b.example/u", "https://a.example/u")
    assert published(record(uris=uris)).record.uris == uris


def test_a_record_does_not_outlive_its_certificate() -> None:
    """A record dies with its certificate, with the first of several."""
    last = latest_expiry([OWNER.chain])
    assert last == int((NOW + timedelta(days=6)).timestamp())
    assert published(record(expires_at=last)).record.expires_at == last
    with pytest.raises(RecordError, match="not later than the end"):
        sign_record(record(expires_at=last + 1), OWNER.key, OWNER.chain)
    with pytest.raises(RecordError, match="not later than the end"):
        SignedRecord.parse(f"{forged(TYPE, CLAIMS | {'exp': last + 1})}~")
    sooner = root().number(CALLED, key_number=21, not_after=NOW + timedelta(hours=1))
    with pytest.raises(RecordError, match="not later than the end"):
        sign_record(record(expires_at=last), OWNER.key, OWNER.chain, [sooner.chain])


def test_a_record_is_signed_whole_and_with_its_own_chain() -> None:
    """What is signed says which media there are; the chain is the key's."""
    with pytest.raises(RecordError, match="which media"):
        sign_record(record(media=None), OWNER.key, OWNER.chain)
    with pytest.raises(RecordError, match="not one of the signing key"):
        sign_record(record(), OTHER_KEY.key, OWNER.chain)
    with pytest.raises(RecordError, match="none of them empty"):
        sign_record(record(), OWNER.key, ())
    with pytest.raises(RecordError, match="salt of 16 bytes"):
        sign_record(record(), OWNER.key, OWNER.chain, salt=b"salt")


def test_a_record_has_a_size() -> None:
    """16 KiB, its disclosure among them."""
    large = record(uris=tuple("https://chat.example/" + f"{number:0>490}" for number in range(16)), section=bytes(1024))
    read = published(large)
    assert len(read.token) <= LARGEST_RECORD
    with pytest.raises(RecordError, match="at most 16384 characters"):
        SignedRecord.parse("a" * (LARGEST_RECORD + 1))
    with pytest.raises(RecordError, match="at most 16384 characters with"):
        SignedRecord.parse(f"{read.signed_text}~{'a' * LARGEST_RECORD}~")


def test_a_record_is_hidden_in_its_repr() -> None:
    """No repr carries a number or where it is reached into a log."""
    for text in (repr(published()), repr(record(section=b"secret"))):
        assert CALLED.digits not in text
        assert "chat.example/u" not in text
        assert "secret" not in text


@given(st.text())
def test_any_text_gives_this_rooms_error(text: str) -> None:
    """No text makes the reader raise anything else."""
    with pytest.raises(RecordError):
        SignedRecord.parse(text)
    with pytest.raises(RecordError):
        SignedRecord.parse(f"{published().signed_text}~{text}~x")


@given(st.dictionaries(st.sampled_from([*CLAIMS, "section", "x"]), json_values, max_size=3))
def test_any_claims_give_a_record_or_this_rooms_error(change: dict[str, object]) -> None:
    """Whatever stands in a claim, it is read or refused."""
    with contextlib.suppress(RecordError):
        assert SignedRecord.parse(f"{forged(TYPE, CLAIMS | change)}~").record


@given(json_values)
def test_any_disclosure_gives_media_or_this_rooms_error(value: object) -> None:
    """Whatever an owner signs as its media, it is read or refused."""
    with contextlib.suppress(RecordError):
        assert SignedRecord.parse(disclosed(value)).record.media is not None
