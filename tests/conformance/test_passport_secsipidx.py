from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from stir.certificate_chain import write_pem_chain
from stir.errors import PassportError
from stir.identity_header import IdentityHeader
from stir.passport import Passport, SignedPassport, sign
from tests.peers import require
from tests.vectors.make_stir_vectors import (
    CALL,
    CALLED,
    CHAIN_URL,
    CLAIMS,
    HEADER,
    ISSUED_AT,
    ISSUING,
    LEAF,
    NUMBER,
    NUMBER_KEY,
    ROOT,
    key,
)

pytestmark = pytest.mark.peer

FOREVER = str(10**10)  # seconds: the test does not depend on today


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the number's key and certificate in files."""
    (tmp_path / "key.pem").write_bytes(NUMBER_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "public.pem").write_bytes(public_pem(NUMBER_KEY))
    (tmp_path / "another.pem").write_bytes(public_pem(key("another")))
    (tmp_path / "chain.pem").write_bytes(write_pem_chain([LEAF, ISSUING]))
    return tmp_path


def public_pem(of: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public key of a test key."""
    return of.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def secsipidx(folder: Path, *options: str) -> str:
    """Return what the program wrote; it tells failure by its words."""
    command = [require("secsipidx", "secsipidx"), *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip()


def checked(folder: Path, header: str, public_key: str) -> bool:
    """Return whether secsipidx verifies an Identity header."""
    (folder / "identity").write_text(header)
    said = secsipidx(folder, "-check", "-fidentity", "identity", "-fpubkey", public_key, "-expire", FOREVER)
    assert said.splitlines()[-1] in {"ok", "not-ok"}
    return said == "ok"


HEADERS = {
    "with its URL": sign(CALL, NUMBER_KEY, certificate_url=CHAIN_URL),
    "with its chain": sign(CALL, NUMBER_KEY, chain=(LEAF, ISSUING)),
    "with a further chain for its key": sign(CALL, NUMBER_KEY, chain=(LEAF, ISSUING), more_chains=[(LEAF, ROOT)]),
    "with both": sign(CALL, NUMBER_KEY, chain=(LEAF, ISSUING), certificate_url=CHAIN_URL),
}


@pytest.mark.parametrize("token", HEADERS.values(), ids=HEADERS)
def test_secsipidx_verifies_our_passport(token: str, folder: Path) -> None:
    """RFC 8224 §6.2: a verifier that we did not write takes our Identity header, by the number's key."""
    header = IdentityHeader.for_token(token).format()
    assert checked(folder, header, "public.pem")
    assert not checked(folder, header, "another.pem")


def test_secsipidx_verifies_our_passport_by_our_certificate(folder: Path) -> None:
    """RFC 8226 §5: the key comes out of the number's certificate, which Go's library must be able to read."""
    header = IdentityHeader.for_token(sign(CALL, NUMBER_KEY, certificate_url=CHAIN_URL)).format()
    assert checked(folder, header, "chain.pem")


def test_secsipidx_refuses_what_was_changed(folder: Path) -> None:
    """RFC 7515 §5.2: a changed claim breaks the signature for the other verifier too."""
    first, other = (
        sign(Passport(NUMBER, (number,), ISSUED_AT), NUMBER_KEY, certificate_url=CHAIN_URL).split(".")
        for number in (CALLED, "12025550198")
    )
    mixed = ".".join((first[0], other[1], first[2]))
    assert not checked(folder, f"{mixed};info=<{CHAIN_URL}>;alg=ES256", "public.pem")
    with pytest.raises(PassportError):
        SignedPassport.parse(mixed).verify(NUMBER_KEY.public_key())


def test_we_verify_a_passport_of_secsipidx(folder: Path) -> None:
    """RFC 8225 §6: its signature over its own serialization is one that we take."""
    members = ("-header", json.dumps(HEADER), "-payload", json.dumps(CLAIMS))
    token = SignedPassport.parse(secsipidx(folder, "-sign", *members, "-fprvkey", "key.pem"))
    token.verify(NUMBER_KEY.public_key())
    assert token.passport == CALL
    with pytest.raises(PassportError):
        token.verify(key("another").public_key())


def test_we_refuse_the_shaken_passport_of_secsipidx_by_its_ppt(folder: Path) -> None:
    """RFC 8225 §8.1: its Identity header is well formed, but of an extension that is not understood here."""
    names = ("-orig-tn", NUMBER.digits, "-dest-tn", CALLED, "-x5u", CHAIN_URL)
    header = secsipidx(folder, "-sign-full", *names, "-fprvkey", "key.pem")
    assert header.endswith(f";info=<{CHAIN_URL}>;alg=ES256;ppt=shaken")
    with pytest.raises(PassportError, match="ppt is not understood"):
        IdentityHeader.parse(header)
