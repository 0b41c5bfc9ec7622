"""An authority without the web: its steps, a real database, real signatures, and the phone of every number."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.jwk import JWK, JWKEC

from ca_server import issuing
from ca_server.config import Authority, Config, Gateway
from ca_server.issuing import CertificateAuthority
from ca_server.logs.logs import Logs
from ca_server.orders import Account, Authorization, Certificate, Challenge, ChallengeType, Order, Status
from ca_server.signing.issuer import Issuer
from ca_server.sms.routing import Routes
from ca_server.storage import Storage
from policies.issuance import IssuancePolicy
from stir.certificate_chain import read_pem_chain
from stir.certificate_request import number_request
from stir.key_authorization import digest
from stir.telephone_number import TelephoneNumber
from stir.tn_auth_list import TnAuthList
from tests.fakes.authority import make_issuer
from tests.fakes.clock import HandClock

NUMBER = TelephoneNumber.parse("+12025550123")
OTHER_NUMBER = TelephoneNumber.parse("+12025550124")
ADDRESS = "192.0.2.1"
LEASE = timedelta(minutes=1)
GATEWAYS = (
    Gateway(name="one", type="outbox", operator="Example Telecom", sender="ExampleCA"),
    Gateway(name="two", type="outbox", operator="Other Telecom", sender="+12025550199"),
)

_CODE = re.compile(r"@ca\.example #(\S+)")


def make_config(policy: IssuancePolicy | None = None, **changes: Any) -> Config:  # noqa: ANN401 - any of the settings
    """Return the settings of an authority that certifies numbers of the United States."""
    whole: dict[str, Any] = {
        "public_url": "https://ca.example",
        "authority": Authority(name="Example CA", operator="Example Ltd", crl_shards=4),
        "gateways": GATEWAYS,
        "policy": policy or IssuancePolicy(countries=("US",)),
    }
    return Config(**(whole | changes))


@dataclass(frozen=True, slots=True)
class Client:
    """An account and its key."""

    account: Account
    jwk: JWK


class IssuingAuthority:
    """An authority, and what its clients and phones do most."""

    def __init__(
        self,
        storage: Storage,
        policy: IssuancePolicy | None = None,
        *,
        clock: HandClock | None = None,
        issuer: Issuer | None = None,
        logs: Logs | None = None,
        **changes: Any,  # noqa: ANN401 - any of the settings
    ) -> None:
        """Build it over a database, with changes to its settings."""
        self.clock = clock or HandClock()
        config = make_config(policy, **changes)
        self.ca = CertificateAuthority(
            config=config,
            storage=storage,
            issuer=issuer or make_issuer(config.public_url, crl_shards=config.authority.crl_shards),
            routes=Routes.from_config(config.gateways, config.policy.min_routes),
            clock=self.clock,
            random_bytes=os.urandom,
            logs=logs or Logs(),
        )
        self.storage = storage

    def client(self) -> Client:
        """Return a new account."""
        jwk = JWKEC(key=new_key().public_key())
        account, _ = issuing.create_account(
            self.ca, jwk, (), terms_agreed=True, only_return_existing=False, client_address=ADDRESS
        )
        return Client(account, jwk)

    def order(self, client: Client, number: TelephoneNumber = NUMBER) -> Order:
        """Order a certificate for a number."""
        return issuing.create_order(self.ca, client.account, [identifier(number)], None, None)

    def challenge(self, client: Client, order: Order, kind: ChallengeType = ChallengeType.SMS_CODE) -> Challenge:
        """Return an order's challenge as it is now."""
        authorization = issuing.authorization(self.ca, client.account, order.authorization.id)
        return challenge_of(authorization, kind)

    def ask(self, client: Client, challenge: Challenge, address: str = ADDRESS) -> tuple[Challenge, Authorization]:
        """Ask for an SMS."""
        return issuing.ask(self.ca, client.account, challenge.id, address)

    def received(self) -> str:
        """Send all SMS that wait, and return the codes in them, joined in the order of their routes."""
        codes: dict[int, str] = {}
        while (claim := self.storage.sms.claim(self.clock(), LEASE)) is not None:
            self.storage.sms.sent(claim, GATEWAYS[claim.route].name, f"id-{claim.sms.id}", self.clock())
            found = _CODE.search(claim.sms.text)
            assert found is not None, "the SMS binds no code to the authority's host"
            codes[claim.route] = found[1]
        return "".join(code for _, code in sorted(codes.items()))

    def answer(self, client: Client, challenge: Challenge, code: str) -> tuple[Challenge, Authorization]:
        """Answer with a code."""
        return issuing.answer(self.ca, client.account, challenge.id, digest(code, challenge.token, thumbprint(client)))

    def prove(self, client: Client, order: Order, kind: ChallengeType = ChallengeType.SMS_CODE) -> Authorization:
        """Ask for an SMS, and answer with what it carries."""
        challenge, _ = self.ask(client, self.challenge(client, order, kind))
        return self.answer(client, challenge, self.received())[1]

    def ready(self, client: Client, number: TelephoneNumber = NUMBER) -> Order:
        """Order, and prove the number where that is needed: the order is ready."""
        order = self.order(client, number)
        if order.status(self.clock()) is Status.PENDING:
            self.prove(client, order)
        return issuing.order(self.ca, client.account, order.id)

    def issue(
        self, client: Client, number: TelephoneNumber = NUMBER, key: ec.EllipticCurvePrivateKey | None = None
    ) -> Certificate:
        """Go all the way."""
        order = issuing.finalize(self.ca, client.account, self.ready(client, number).id, csr(number, key))
        assert order.certificate_id is not None
        certificate = self.storage.certificates.get(order.certificate_id)
        assert certificate is not None
        return certificate

    def download(self, client: Client, order: Order) -> tuple[x509.Certificate, ...]:
        """Return the chain of a valid order."""
        assert order.certificate_id is not None
        return read_pem_chain(issuing.certificate_chain(self.ca, client.account, order.certificate_id))


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def identifier(number: TelephoneNumber) -> tuple[str, str]:
    """Return the ACME identifier of a number."""
    return ("TNAuthList", TnAuthList.for_number(number).identifier)


def csr(number: TelephoneNumber = NUMBER, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    """Return a certificate request for a number, in DER."""
    return number_request(number, key or new_key()).public_bytes(Encoding.DER)


def thumbprint(client: Client) -> bytes:
    """Return the SHA-256 thumbprint of the account key."""
    return bytes(client.jwk.thumbprint())


def challenge_of(authorization: Authorization, kind: ChallengeType = ChallengeType.SMS_CODE) -> Challenge:
    """Return the authorization's challenge of a type."""
    return next(challenge for challenge in authorization.challenges if challenge.type is kind)
