from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificate import NumberCertificate, load_certificate
from stir.certificate_chain import LONGEST_CHAIN, read_pem_chain
from stir.certificate_profile import LARGEST_CERTIFICATE
from stir.certificate_request import NumberRequest
from stir.errors import StirError
from stir.identity_header import LARGEST_HEADER, IdentityHeader
from stir.key_authorization import digest_matches, key_authorization
from stir.passport import LARGEST_TOKEN, SignedPassport
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.tn_auth_list import NumberEntry, TnAuthList
from tests.vectors.make_stir_vectors import CLAIMS, HEADER, LEAF, base64url, compact, dumps

ALLOWED_SECONDS_PER_BYTE = 0.001
LARGE = 100_000
CERTIFICATE_LINE = b"-----BEGIN CERTIFICATE-----\n"


def hostile() -> list[object]:
    """Return readers with inputs that make careless ones slow: long, nested, repeated, almost right."""
    json_bytes = LARGEST_TOKEN * 3 // 4 - 400
    leaf = LEAF.public_bytes(Encoding.DER)
    many_entries = TnAuthList(tuple(NumberEntry(f"{number:07}") for number in range(5000))).to_der()
    texts: dict[str, tuple[Callable[[str], object], str]] = {
        "a long number": (TelephoneNumber.parse, "+" + "1" * LARGE),
        "a long prefix": (NumberPrefix.parse, "+" + "1" * LARGE),
        "a long tel URI": (TelephoneNumber.from_tel_uri, "tel:" * LARGE),
        "a long ENUM name": (TelephoneNumber.from_enum_domain, "1." * LARGE + "e164.arpa"),
        "a long code": (lambda text: key_authorization(text, text, b""), "1" * LARGE),
        "a long digest": (lambda text: digest_matches("", text), "A" * LARGE),
        "a long identifier": (TnAuthList.from_identifier, "MA" * LARGE),
        "a list of 5000 numbers": (TnAuthList.from_identifier, base64url(many_entries)),
        "a long token": (SignedPassport.parse, "A" * LARGE),
        "a token of dots": (SignedPassport.parse, "a." * (LARGEST_TOKEN // 2)),
        "nested lists": (SignedPassport.parse, compact(b"[" * json_bytes, dumps(CLAIMS))),
        "nested objects": (SignedPassport.parse, compact(b'{"a":' * (json_bytes // 5), dumps(CLAIMS))),
        "many members": (SignedPassport.parse, compact(b"{" + b'"a":1,' * (json_bytes // 6) + b'"b":1}', b"{}")),
        "many digits": (SignedPassport.parse, compact(dumps(HEADER), b'{"iat":' + b"9" * json_bytes + b"}")),
        "many destinations": (
            SignedPassport.parse,
            compact(dumps(HEADER), dumps(CLAIMS | {"dest": {"tn": ["1"] * (json_bytes // 5)}})),
        ),
        "a long header": (IdentityHeader.parse, "a" * LARGE),
        "many parameters": (IdentityHeader.parse, "a" + ";a" * (LARGEST_HEADER // 2 - 1)),
        "different parameters": (IdentityHeader.parse, "a" + "".join(f";p{number}" for number in range(3000))),
        "spaces": (IdentityHeader.parse, "a" + " " * (LARGEST_HEADER - 9) + ";"),
        "spaces after a parameter": (IdentityHeader.parse, "a;b" + " " * (LARGEST_HEADER - 9) + "!"),
        "an open quote": (IdentityHeader.parse, 'a;b="' + "x" * (LARGEST_HEADER - 9)),
        "folded lines": (IdentityHeader.parse, "a" + "\r\n " * (LARGEST_HEADER // 3 - 9)),
    }
    octets: dict[str, tuple[Callable[[bytes], object], bytes]] = {
        "a list of 5000 entries": (lambda der: TnAuthList.from_der(der).intervals, many_entries),
        "an endless list": (TnAuthList.from_der, b"\x30\x84\xff\xff\xff\xff" + bytes(LARGE)),
        "nested DER": (load_certificate, b"\x30\x80" * (LARGEST_CERTIFICATE // 2)),
        "a large certificate": (load_certificate, leaf + bytes(LARGE)),
        "a certificate": (lambda der: NumberCertificate.read(load_certificate(der)), leaf),
        "a large request": (NumberRequest.read, bytes(LARGE)),
        "many PEM headers": (read_pem_chain, CERTIFICATE_LINE * (LARGEST_CERTIFICATE * LONGEST_CHAIN // 28)),
        "a PEM that does not end": (read_pem_chain, CERTIFICATE_LINE + b"A\n" * (LARGEST_CERTIFICATE * 4)),
        "PEM and blank lines": (read_pem_chain, LEAF.public_bytes(Encoding.PEM) + b"\n" * LARGE + b"x"),
        "a large PEM": (read_pem_chain, b"A" * 1_000_000),
    }
    return [pytest.param(*case, id=name) for name, case in (texts | octets).items()]


@pytest.mark.parametrize(("read", "given"), hostile())
def test_no_input_takes_more_than_a_millisecond_per_byte(read: Callable[[object], object], given: str | bytes) -> None:
    """A malformed input costs at most 1 ms of CPU time per byte, and raises only this room's errors."""
    start = time.process_time()
    with contextlib.suppress(StirError):
        read(given)
    assert time.process_time() - start <= ALLOWED_SECONDS_PER_BYTE * len(given)
