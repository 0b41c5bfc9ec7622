"""A small ACME client for tests: it signs requests, also wrong ones, and needs no socket to send them."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

import falcon
import falcon.testing
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from josepy.jwa import ES256, ES384, RS256, JWASignature
from josepy.jwk import JWK, JWKEC, JWKRSA

Json = dict[str, Any]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

JOSE = "application/jose+json"


def base64url(data: bytes) -> str:
    """Return the base64url text of the bytes, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def p256_key() -> ec.EllipticCurvePrivateKey:
    """Return a new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return an RSA key, the same one for each size: making one takes a while."""
    return rsa.generate_private_key(65537, bits)


class Signer:
    """A key as the sender of a JWS sees it."""

    def __init__(self, key: PrivateKey | None = None) -> None:
        """Take a key, or make one on P-256."""
        self.key: PrivateKey = key or p256_key()

    @property
    def jwk(self) -> Json:
        """The public key as a JWK."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return {"kty": "OKP", "crv": "Ed25519", "x": base64url(self.key.public_key().public_bytes_raw())}
        json_: Json = self._jose.public_key().to_json()
        return json_

    @property
    def algorithm(self) -> str:
        """The key's algorithm."""
        return "EdDSA" if isinstance(self.key, ed25519.Ed25519PrivateKey) else self._josepy_algorithm.name

    def thumbprint(self) -> bytes:
        """Return the SHA-256 thumbprint of the key (RFC 7638)."""
        thumbprint: bytes = self._jose.public_key().thumbprint()
        return thumbprint

    def sign(self, data: bytes) -> bytes:
        """Return the JWS signature over the bytes."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(data)
        signature: bytes = self._josepy_algorithm.sign(self._jose.key, data)
        return signature

    @property
    def _jose(self) -> JWK:
        return JWKRSA(key=self.key) if isinstance(self.key, rsa.RSAPrivateKey) else JWKEC(key=self.key)

    @property
    def _josepy_algorithm(self) -> JWASignature:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return RS256
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        return ES256 if isinstance(self.key.curve, ec.SECP256R1) else ES384


def write_payload(payload: object) -> bytes:
    """Return the bytes of a payload: None is the empty one of a POST-as-GET, bytes are taken as they are."""
    if payload is None:
        return b""
    return payload if isinstance(payload, bytes) else json.dumps(payload).encode()


def flattened(signer: Signer, header: Json | bytes, payload: bytes) -> Json:
    """Return the flattened JWS of a header, which may be any text, and a payload."""
    protected = base64url(header if isinstance(header, bytes) else json.dumps(header).encode())
    body = base64url(payload)
    return {
        "protected": protected,
        "payload": body,
        "signature": base64url(signer.sign(f"{protected}.{body}".encode())),
    }


class AcmeRequests:
    """One client of one application. `kid` is the account's URL, once there is one."""

    def __init__(self, app: falcon.App[Any, Any], public_url: str, key: PrivateKey | None = None) -> None:
        """Take the application, the URL that it believes it has, and a key or a new one."""
        self.http = falcon.testing.TestClient(app)
        self.public_url = public_url
        self.signer = Signer(key)
        self.kid: str | None = None

    @property
    def thumbprint(self) -> bytes:
        """The SHA-256 thumbprint of the account's key."""
        return self.signer.thumbprint()

    @property
    def account(self) -> str:
        """The account's URL."""
        assert self.kid is not None, "this client has no account"
        return self.kid

    def at(self, path: str) -> str:
        """Return the URL of a path."""
        return self.public_url + path

    def path(self, url: str) -> str:
        """Return the path of a URL of this server."""
        assert url.startswith(self.public_url), url
        return url.removeprefix(self.public_url)

    def index(self) -> Json:
        """Return the index."""
        index: Json = self.http.simulate_get("/acme/index").json
        return index

    def nonce(self) -> str:
        """Return a fresh nonce."""
        return str(self.http.simulate_head("/acme/new-nonce").headers["replay-nonce"])

    def header(self, url: str, /, *, by_key: bool = False, **overrides: object) -> Json:
        """Return the protected header of a request; an override of None leaves the member out."""
        by = {"jwk": self.signer.jwk} if by_key or self.kid is None else {"kid": self.kid}
        whole = {"alg": self.signer.algorithm, "nonce": self.nonce(), "url": url} | by | overrides
        return {name: value for name, value in whole.items() if value is not None}

    def post(
        self, url: str, payload: object = None, /, *, by_key: bool = False, **overrides: object
    ) -> falcon.testing.Result:
        """Send a signed request; `overrides` replace members of its protected header."""
        header = self.header(url, by_key=by_key, **overrides)
        return self.send(url, flattened(self.signer, header, write_payload(payload)))

    def send(
        self, url: str, envelope: object, *, content_type: str = JOSE, headers: dict[str, str] | None = None
    ) -> falcon.testing.Result:
        """Send a body as it is: bytes, or what becomes JSON."""
        path, _, query = self.path(url).partition("?")
        return self.http.simulate_post(
            path,
            query_string=query,
            body=envelope if isinstance(envelope, bytes) else json.dumps(envelope),
            headers={"Content-Type": content_type} | (headers or {}),
        )

    def register(self, **payload: object) -> falcon.testing.Result:
        """Make an account and remember its URL."""
        result = self.post(self.at("/acme/new-account"), payload, by_key=True)
        self.kid = result.headers.get("location", self.kid)
        return result
