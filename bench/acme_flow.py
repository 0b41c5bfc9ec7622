"""One ACME client for every server that is measured: the same requests, on one connection, with nothing to spare."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import requests
from acme.jws import JWS
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.json_util import decode_b64jose, encode_b64jose
from josepy.jwa import ES256
from josepy.jwk import JWKEC

Json = dict[str, Any]

_PATIENCE = 30.0
"""Seconds after which a server that has not finished a step is given up."""
_PAUSE = 0.02
"""Seconds between two looks at a step that the server does in the background."""


class FlowError(Exception):
    """A server answered otherwise than the flow needs."""


class Subject(Protocol):
    """What a certificate is asked for, and how it is proved: the part in which the servers differ."""

    @property
    def identifier(self) -> Mapping[str, str]:
        """The identifier of the order."""

    @property
    def challenge_type(self) -> str:
        """Which of the offered challenges to take."""

    def answers(self, challenge: Json, thumbprint: str) -> Iterator[Json]:
        """Give the payloads to post to the challenge, one after the other."""

    def request(self) -> bytes:
        """Make the certificate request, in DER."""


class AcmeClient:
    """An account at one server, over one connection."""

    def __init__(self, index_url: str) -> None:
        """Read the server's index and make a key; nothing is registered yet."""
        self._session = requests.Session()
        self._session.trust_env = False
        self._index = self._session.get(index_url, timeout=_PATIENCE).json()
        self._key = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
        self._thumbprint = encode_b64jose(self._key.thumbprint())
        self._account: str | None = None
        self._nonce: str | None = None

    def register(self) -> None:
        """Make the account (RFC 8555 §7.3)."""
        reply = self._post(
            self._index["newAccount"], {"termsOfServiceAgreed": True, "contact": ["mailto:bench@example.org"]}
        )
        self._account = reply.headers["Location"]

    def certificate(self, subject: Subject) -> str:
        """Go the whole way: order, authorization, challenge, finalize, download (RFC 8555 §7.4)."""
        order = self._post(self._index["newOrder"], {"identifiers": [dict(subject.identifier)]})
        location, body = order.headers["Location"], order.json()
        for authorization in body["authorizations"]:
            self._authorize(authorization, subject)
        final = self._post(body["finalize"], {"csr": encode_b64jose(subject.request())}).json()
        final = self._until_valid(location, final)
        return self._post(final["certificate"], None).text

    def _authorize(self, url: str, subject: Subject) -> None:
        offered = self._post(url, None).json()["challenges"]
        challenge = next(one for one in offered if one["type"] == subject.challenge_type)
        for payload in subject.answers(challenge, self._thumbprint):
            challenge = self._post(challenge["url"], payload).json()
        if challenge["status"] != "valid":
            self._until_valid(url, {"status": "pending"})

    def _until_valid(self, url: str, body: Json) -> Json:
        deadline = time.monotonic() + _PATIENCE
        while body["status"] != "valid":
            if body["status"] == "invalid" or time.monotonic() > deadline:
                message = f"{url} is {body['status']}: {body}"
                raise FlowError(message)
            time.sleep(_PAUSE)
            body = self._post(url, None).json()
        return body

    def _post(self, url: str, payload: Json | None) -> requests.Response:
        body = b"" if payload is None else json.dumps(payload).encode()
        signed = JWS.sign(
            body,
            key=self._key,
            alg=ES256,
            nonce=decode_b64jose(self._fresh_nonce()),
            url=url,
            kid=self._account,
        )
        reply = self._session.post(
            url,
            data=signed.json_dumps(),
            headers={"Content-Type": "application/jose+json"},
            timeout=_PATIENCE,
        )
        self._nonce = reply.headers.get("Replay-Nonce")
        if not reply.ok:
            message = f"{url} answered {reply.status_code}: {reply.text[:500]}"
            raise FlowError(message)
        return reply

    def _fresh_nonce(self) -> str:
        nonce, self._nonce = self._nonce, None
        return nonce or self._session.head(self._index["newNonce"], timeout=_PATIENCE).headers["Replay-Nonce"]
