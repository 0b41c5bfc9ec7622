"""Checking a certificate that an authority hands out against what was ordered.

Whether the authority is to be believed is not asked here: that is the trust store's question, and every reader's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from acme_client.errors import NotAsOrdered
from acme_client.keys import same_key
from stir.certificate import AuthorityCertificate, NumberCertificate
from stir.certificate_chain import read_pem_chain
from stir.errors import CertificateProfileError
from stir.telephone_number import TelephoneNumber


def read_ordered_chain(
    pem: bytes, number: TelephoneNumber, key: ec.EllipticCurvePrivateKey, now: datetime
) -> tuple[NumberCertificate, tuple[x509.Certificate, ...]]:
    """Read the chain that answers an order for `number` and `key`, the number's certificate first.

    Raises NotAsOrdered unless that certificate is for just this number and key and valid at `now`, and each one is
    signed by the next, which is an authority for the number.
    """
    try:
        chain = read_pem_chain(pem)
        leaf = NumberCertificate.read(chain[0])
        authorities = [AuthorityCertificate.read(link) for link in chain[1:]]
    except CertificateProfileError as error:
        msg = f"the authority's certificate is outside the profile: {error}"
        raise NotAsOrdered(msg) from error
    if leaf.number != number:
        _refuse("is for another number than the one that was ordered")
    if not same_key(key, leaf.public_key):
        _refuse("is for another key than the one that was ordered")
    if not leaf.not_before <= now < leaf.not_after:
        _refuse("is not valid now: check this machine's clock")
    _require_linked(chain, authorities, number)
    return leaf, chain


def _require_linked(
    chain: Sequence[x509.Certificate], authorities: Sequence[AuthorityCertificate], number: TelephoneNumber
) -> None:
    for below, above in itertools.pairwise(chain):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature) as error:
            msg = "the authority's certificate chain does not hold: a certificate is not signed by the next one"
            raise NotAsOrdered(msg) from error
    for authority in authorities:
        if authority.numbers is not None and not authority.numbers.covers_number(number):
            _refuse("comes from an authority that may not speak for this number")


def _refuse(reason: str) -> None:
    msg = f"the authority's certificate {reason}; it was not stored"
    raise NotAsOrdered(msg)
