"""An app that enrols numbers, the authority that it enrols them with, and the phone: all real but sockets and SMS."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from acme_client.accounts import Applicant
from acme_client.addresses import AuthorityAddress
from acme_client.codes import CallbackCodes, CodePrompt
from acme_client.enrol import Enrolment
from acme_client.network import Connection
from acme_client.polling import Clock
from acme_client.progress import Progress
from acme_client.store import EnrolledCertificate, Store
from ca_server.app import create_authority
from ca_server.config import Authority, Config, Gateway
from ca_server.orders import Delivery
from ca_server.signing.issuer import Issuer
from ca_server.sms.gateway import DeliveryReceipt
from ca_server.storage import Storage
from ca_server.web import build_web
from policies.issuance import IssuancePolicy
from stir.certificate_building import AuthorityFields, authority_certificate, signature_hash
from stir.telephone_number import TelephoneNumber
from tests.fakes.patient_clock import PatientClock
from tests.fakes.wsgi_adapter import WsgiAdapter

NUMBER = TelephoneNumber.parse("+12025550123")
GATEWAYS = (
    Gateway(name="one", type="outbox", operator="Example Telecom", sender="ExampleCA"),
    Gateway(name="two", type="outbox", operator="Other Telecom", sender="+12025550199"),
)

_LEASE = timedelta(minutes=1)


def issuer_at(public_url: str, now: datetime) -> Issuer:
    """Return the issuer of a new authority that is valid around a time."""
    key = ec.generate_private_key(ec.SECP256R1())
    fields = AuthorityFields(
        common_name="Example CA",
        organization="Example Ltd",
        public_key=key.public_key(),
        serial=x509.random_serial_number(),
        not_before=now - timedelta(days=1),
        not_after=now + timedelta(days=365),
        path_length=0,
    )
    certificate = authority_certificate(fields, None).sign(key, signature_hash(key))
    return Issuer(certificate, (), key, public_url, 4)


class EnrolmentWorld:
    """One authority, one phone and one store, all below `folder`, where a second world goes on as the first ended.

    Each SMS is delivered to `texts` right after the request that asked for it, unless the `network` is down: `lost`
    messages are reported as failed, `queued` ones stay where they are.
    """

    def __init__(
        self,
        folder: Path,
        host: str = "ca.example",
        hand: PatientClock | None = None,
        issuer: Issuer | None = None,
        reject_good_nonces: float = 0,
        **changes: Any,  # noqa: ANN401  # any of the authority's settings
    ) -> None:
        """Build it."""
        self.hand = hand or PatientClock()
        self.host = host
        self.store = Store(folder / "app")
        self.steps: list[Progress] = []
        self.prompts: list[CodePrompt] = []
        self.network = "up"
        self._database = folder / f"{host}.db"
        self._phone = folder / f"{host}-phone"
        self._phone.mkdir(exist_ok=True)
        self._storage = Storage.open(f"sqlite:///{self._database}")
        self._storage.migrate()
        settings: dict[str, Any] = {
            "public_url": f"https://{host}",
            "authority": Authority(name="Example CA", operator="Example Ltd", crl_shards=4),
            "gateways": GATEWAYS,
            "policy": IssuancePolicy(countries=("US",)),
        }
        self.ca = create_authority(
            Config(**(settings | changes)),
            clock=self.hand.now,
            random_bytes=os.urandom,
            storage=self._storage,
            issuer=issuer or issuer_at(f"https://{host}", self.hand.now()),
        )
        self.application = build_web(self.ca, reject_good_nonces=reject_good_nonces)
        self.adapter = WsgiAdapter(self.application, after=lambda _: self.deliver())

    @property
    def address(self) -> AuthorityAddress:
        """The authority's address."""
        return AuthorityAddress.parse(self.host)

    @property
    def texts(self) -> list[str]:
        """The messages that the phone has received, the last one last."""
        return [path.read_text() for path in sorted(self._phone.iterdir())]

    @property
    def connection(self) -> Connection:
        """How the app reaches the authority."""
        return Connection(adapter=self.adapter)

    @property
    def clock(self) -> Clock:
        """The time at the app, which is that at the authority."""
        return self.hand.clock

    def enrolment(self, **changes: Any) -> Enrolment:  # noqa: ANN401  # any of the enrolment's fields
        """Return the enrolment of the number by somebody who reads every message as it comes."""
        whole: dict[str, Any] = {
            "ca": self.host,
            "number": NUMBER,
            "keys": self.store,
            "codes": CallbackCodes(self.read),
            "applicant": Applicant(agree=lambda _: True),
            "connection": self.connection,
            "clock": self.clock,
            "watch": self.steps.append,
        }
        return Enrolment(**(whole | changes))

    def enrolled(self, **changes: Any) -> EnrolledCertificate:  # noqa: ANN401  # as above
        """Enrol the number."""
        return self.enrolment(**changes).run()

    def read(self, prompt: CodePrompt) -> str:
        """Give the messages of the last ask, and remember what the prompt said."""
        self.prompts.append(prompt)
        return "\n".join(self.texts[-self.ca.routes.count :])

    def answering(self, *answers: Any) -> CallbackCodes:  # noqa: ANN401  # codes, RESEND, or functions of the prompt
        """Return a source that gives these answers in turn; a function is called for its answer."""
        left = list(answers)

        def answer(prompt: CodePrompt) -> Any:  # noqa: ANN401  # as above
            self.prompts.append(prompt)
            given = left.pop(0)
            return given(prompt) if callable(given) else given

        return CallbackCodes(answer)

    def deliver(self) -> None:
        """Do the work of the SMS worker and the mobile network."""
        if self.network == "queued":
            return
        now = self.hand.now()
        while (claim := self._storage.sms.claim(now, _LEASE)) is not None:
            if self.network == "lost":
                self._storage.sms.failed(claim, now)
                continue
            gateway = GATEWAYS[claim.route].name
            self._storage.sms.sent(claim, gateway, claim.sms.id, now)
            self._storage.sms.receipt(DeliveryReceipt(gateway, claim.sms.id, Delivery.DELIVERED, now))
            (self._phone / f"{len(self.texts):03}").write_text(claim.sms.text)

    def count(self, table: str) -> int:
        """Return how many rows one of the authority's tables has."""
        with sqlite3.connect(self._database) as connection:
            (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608  # tests name it
        connection.close()
        return int(rows)

    def asked(self, *, path: str) -> int:
        """Return how many requests went to paths that begin so."""
        return sum(1 for _, asked in self.adapter.requests if asked.startswith(path))

    def close(self) -> None:
        """Close the database."""
        self._storage.close()


def wrong(code: str) -> str:
    """Return another code of the same form."""
    return code[:-1] + ("1" if code[-1] == "0" else "0")


def code_in(text: str) -> str:
    """Return the code of a message as a person reads it: its first word."""
    return text.split(maxsplit=1)[0]


def routed(worlds: Mapping[str, EnrolmentWorld]) -> Callable[..., requests.Response]:
    """Return the `send` of an adapter that finds each authority by its host, as DNS would."""

    def send(_: object, request: requests.PreparedRequest, **__: object) -> requests.Response:
        world = worlds.get(urlsplit(request.url or "").hostname or "")
        if world is None:
            raise requests.ConnectionError
        return world.adapter.send(request)

    return send


def now() -> datetime:
    """Return the real time."""
    return datetime.now(UTC)
