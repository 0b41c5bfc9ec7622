"""An authority on the web without sockets: all its rooms and a real database; the clock and the phones are ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import falcon.testing
from cryptography.hazmat.primitives.asymmetric import ec

from ca_server.storage import Storage
from ca_server.web import build_web
from stir.key_authorization import digest
from stir.telephone_number import TelephoneNumber
from tests.fakes.acme_requests import AcmeRequests, Json, PrivateKey, base64url
from tests.fakes.issuing_authority import NUMBER, OTHER_NUMBER, IssuingAuthority
from tests.fakes.issuing_authority import csr as csr_der
from tests.fakes.issuing_authority import identifier as identifier_pair

__all__ = ["NUMBER", "OTHER_NUMBER", "PUBLIC_URL", "SMS_CODE", "SMS_REPLY", "Proof", "WebAuthority"]

PUBLIC_URL = "https://ca.example"
SMS_CODE = "sms-code-00"
SMS_REPLY = "sms-reply-00"


@dataclass(frozen=True, slots=True)
class Proof:
    """An order on its way, as its client saw it when it was made."""

    order: Json
    order_url: str
    authorization: Json
    authorization_url: str

    def challenge(self, type_: str = SMS_CODE) -> Json:
        """Return the challenge of a type."""
        found: Json = next(one for one in self.authorization["challenges"] if one["type"] == type_)
        return found


class WebAuthority(IssuingAuthority):
    """An authority on the web, and what clients do most there."""

    def __init__(self, storage: Storage, *, reject_good_nonces: float = 0, **changes: Any) -> None:  # noqa: ANN401
        """Build it over a database, with changes to its settings."""
        super().__init__(storage, **changes)
        self.app = build_web(self.ca, reject_good_nonces=reject_good_nonces)

    def stranger(self, key: PrivateKey | None = None) -> AcmeRequests:
        """Return a client without an account."""
        return AcmeRequests(self.app, self.ca.config.public_url, key)

    def registered(self, key: PrivateKey | None = None) -> AcmeRequests:
        """Return a client with an account."""
        client = self.stranger(key)
        assert client.register(termsOfServiceAgreed=True).status_code in {200, 201}
        return client

    def ordered(self, client: AcmeRequests, number: TelephoneNumber = NUMBER) -> Proof:
        """Order a certificate for a number."""
        result = client.post(client.at("/acme/new-order"), {"identifiers": [identifier(number)]})
        assert result.status_code == 201, result.text
        authorization_url = result.json["authorizations"][0]
        authorization = client.post(authorization_url).json
        return Proof(result.json, result.headers["location"], authorization, authorization_url)

    def asked(self, client: AcmeRequests, challenge: Json) -> str:
        """Ask for an SMS, and return the code in it."""
        assert client.post(challenge["url"], {}).status_code == 200
        return self.received()

    def proved(self, client: AcmeRequests, proof: Proof, type_: str = SMS_CODE) -> falcon.testing.Result:
        """Ask for an SMS, and answer with what it carries."""
        challenge = proof.challenge(type_)
        code = self.asked(client, challenge)
        return client.post(challenge["url"], answer(client, challenge, code))

    def made_ready(self, client: AcmeRequests, number: TelephoneNumber = NUMBER) -> Proof:
        """Order, and prove the number where that is needed: the order is ready."""
        proof = self.ordered(client, number)
        if proof.authorization["status"] == "pending":
            assert self.proved(client, proof).json["status"] == "valid"
        return proof

    def issued(
        self, client: AcmeRequests, number: TelephoneNumber = NUMBER, key: ec.EllipticCurvePrivateKey | None = None
    ) -> Json:
        """Go all the way, and return the valid order."""
        proof = self.made_ready(client, number)
        result = client.post(proof.order["finalize"], {"csr": csr(number, key)})
        assert result.status_code == 200, result.text
        order: Json = result.json
        assert order["status"] == "valid", result.text
        return order


def answer(client: AcmeRequests, challenge: Json, code: str) -> Json:
    """Return the payload that answers a challenge with a code."""
    return {"digest": digest(code, challenge["token"], client.thumbprint)}


def identifier(number: TelephoneNumber) -> Json:
    """Return the ACME identifier of a number."""
    type_, value = identifier_pair(number)
    return {"type": type_, "value": value}


def csr(number: TelephoneNumber = NUMBER, key: ec.EllipticCurvePrivateKey | None = None) -> str:
    """Return a certificate request for a number, as finalize takes it."""
    return base64url(csr_der(number, key))
