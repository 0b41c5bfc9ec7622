"""A whole authority without sockets: real web room, steps, database, signatures; clock and phone are ours."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import falcon.testing
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ca_server.app import create_authority
from ca_server.config import Authority, Config, Gateway, Server
from ca_server.storage import Storage
from ca_server.web import build_web
from policies.issuance import IssuancePolicy
from stir.certificate import number_request
from stir.key_authorization import digest
from stir.telephone_number import TelephoneNumber
from stir.tn_auth_list import TnAuthList
from tests.fakes.acme_requests import AcmeRequests, Json, PrivateKey, base64url, p256_key
from tests.fakes.authority import NOW, make_issuer

NUMBER = TelephoneNumber.parse("+12025550123")
OTHER_NUMBER = TelephoneNumber.parse("+12025550124")
PUBLIC_URL = "https://ca.example"
SMS_CODE = "sms-code-00"
SMS_REPLY = "sms-reply-00"

_BOUND_LINE = re.compile(r"@ca\.example #(\S+)")
_LEASE = timedelta(minutes=1)


class HandClock:
    """A clock that moves only when told to."""

    def __init__(self, now: datetime = NOW) -> None:
        """Start at a moment."""
        self.now = now

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def advance(self, **duration: float) -> None:
        """Move on by `seconds=…`, `minutes=…` and so on."""
        self.now += timedelta(**duration)


def config(**changes: Any) -> Config:  # noqa: ANN401 - any of the settings
    """Return the settings of an authority that certifies numbers of the United States."""
    gateway = Gateway(name="one", type="outbox", operator="Example Telecom", sender="ExampleCA")
    whole: dict[str, Any] = {
        "public_url": PUBLIC_URL,
        "authority": Authority(name="Example CA", operator="Example Ltd", crl_shards=4),
        "gateways": (gateway,),
        "policy": IssuancePolicy(countries=("US",)),
        "server": Server(),
    }
    return Config(**(whole | changes))


@dataclass(frozen=True, slots=True)
class Proof:
    """An order on its way, as its client sees it."""

    order: Json
    order_url: str
    authorization: Json
    authorization_url: str

    def challenge(self, type_: str = SMS_CODE) -> Json:
        """Return the challenge of a type."""
        found: Json = next(one for one in self.authorization["challenges"] if one["type"] == type_)
        return found


class WebAuthority:
    """An authority on the web, and the phone of every number."""

    def __init__(self, storage: Storage, *, reject_good_nonces: float = 0, **changes: Any) -> None:  # noqa: ANN401
        """Build it over a database, with changes to its settings."""
        self.clock = HandClock()
        self.config = config(**changes)
        self.ca = create_authority(
            self.config,
            clock=self.clock,
            random_bytes=os.urandom,
            storage=storage,
            issuer=make_issuer(self.config.public_url),
        )
        self.app = build_web(self.ca, reject_good_nonces=reject_good_nonces)

    def client(self, key: PrivateKey | None = None) -> AcmeRequests:
        """Return a client without an account."""
        return AcmeRequests(self.app, self.config.public_url, key)

    def registered(self, key: PrivateKey | None = None) -> AcmeRequests:
        """Return a client with an account."""
        client = self.client(key)
        assert client.register(termsOfServiceAgreed=True).status_code in {200, 201}
        return client

    def order(self, client: AcmeRequests, number: TelephoneNumber = NUMBER) -> Proof:
        """Order a certificate for a number."""
        result = client.post(client.at("/acme/new-order"), {"identifiers": [identifier(number)]})
        assert result.status_code == 201, result.text
        authorization_url = result.json["authorizations"][0]
        authorization = client.post(authorization_url).json
        return Proof(result.json, result.headers["location"], authorization, authorization_url)

    def code(self) -> str:
        """Return the code in the next SMS that leaves the queue; the phone has it then."""
        claim = self.ca.storage.sms.claim(self.clock(), _LEASE)
        assert claim is not None, "no SMS is in the queue"
        self.ca.storage.sms.sent(claim, "one", f"id-{claim.sms.id}", self.clock())
        bound = _BOUND_LINE.search(claim.sms.text)
        assert bound is not None, "the SMS binds no code to the authority's host"
        return bound[1]

    def prove(self, client: AcmeRequests, proof: Proof, type_: str = SMS_CODE) -> falcon.testing.Result:
        """Ask for an SMS, and answer with what it carries."""
        challenge = proof.challenge(type_)
        assert client.post(challenge["url"], {}).status_code == 200
        return client.post(challenge["url"], {"digest": digest(self.code(), challenge["token"], client.thumbprint)})

    def ready(self, client: AcmeRequests, number: TelephoneNumber = NUMBER) -> Proof:
        """Order, and prove the number: the order is ready."""
        proof = self.order(client, number)
        assert self.prove(client, proof).json["status"] == "valid"
        return proof

    def issue(
        self,
        client: AcmeRequests,
        number: TelephoneNumber = NUMBER,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> Json:
        """Go all the way, and return the valid order."""
        proof = self.ready(client, number)
        result = client.post(proof.order["finalize"], {"csr": csr(number, key)})
        assert result.status_code == 200, result.text
        assert result.json["status"] == "valid", result.text
        order: Json = result.json
        return order


def identifier(number: TelephoneNumber) -> Json:
    """Return the ACME identifier of a number."""
    return {"type": "TNAuthList", "value": TnAuthList.for_number(number).identifier}


def csr(number: TelephoneNumber = NUMBER, key: ec.EllipticCurvePrivateKey | None = None) -> str:
    """Return a certificate request for a number, as finalize takes it."""
    return base64url(number_request(number, key or p256_key()).public_bytes(Encoding.DER))
