"""Certificates: fetched, revoked, and what their readers need to check them (RFC 8555 §7.4.2, §7.6; RFC 5280)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime

import falcon

from ca_server import issuing
from ca_server.errors import Refusal, RefusalKind
from ca_server.web import payloads
from ca_server.web.parts import Parts
from ca_server.web.signed_request import AccountRequest
from serving.strict_json import read_base64url

_CRL_LIFE_IN_CACHES = timedelta(minutes=5)
"""A revocation is signed at once; no cache may hide it for longer than this."""
_ISSUER_CACHING = "public, max-age=86400, immutable"


@dataclass(frozen=True, slots=True)
class CertificateResource:
    """One issued certificate with its chain (RFC 8555 §7.4.2)."""

    parts: Parts

    def on_post(self, req: falcon.Request, resp: falcon.Response, object_id: str) -> None:
        """Return the chain in PEM, the one form that is served, whatever Accept asks for (RFC 9110 §12.5.1)."""
        request = self.parts.requests.by_account(req)
        request.expect_get()
        resp.data = issuing.certificate_chain(self.parts.ca, request.account, object_id)
        resp.content_type = "application/pem-certificate-chain"


@dataclass(frozen=True, slots=True)
class RevokeCert:
    """Ends a certificate, for whoever may end it (RFC 8555 §7.6)."""

    parts: Parts

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Revoke: for the account that has it, one that proved its number too, or the certificate's own key."""
        request = self.parts.requests.by_account_or_key(req)
        requester = request.account if isinstance(request, AccountRequest) else request.jwk
        payload = request.read(payloads.Revocation)
        der = read_base64url(payload.certificate, "certificate")
        issuing.revoke(self.parts.ca, der, payload.reason, requester)
        resp.status = falcon.HTTP_200


@dataclass(frozen=True, slots=True)
class RevocationListResource:
    """The CRL of one shard, for anybody (RFC 5280 §5, RFC 2585 §3)."""

    parts: Parts

    def on_get(self, req: falcon.Request, resp: falcon.Response, issuer_id: str, shard: int) -> None:
        """Return the youngest list, or 304 to whoever has it."""
        issuer = self.parts.ca.issuer_named(issuer_id)
        if (
            issuer is None
            or not 0 <= shard < issuer.crl_shards
            or issuer.crl_url(shard) != self.parts.urls.at(req.path)
        ):
            raise Refusal(RefusalKind.NOT_FOUND, "there is no such revocation list")
        crl = issuing.crl(self.parts.ca, shard, issuer_id)
        rest = max(timedelta(0), min(_CRL_LIFE_IN_CACHES, crl.next_update - self.parts.ca.clock()))
        resp.set_header("Cache-Control", f"public, max-age={int(rest.total_seconds())}")
        resp.set_header("Last-Modified", format_datetime(crl.this_update.replace(microsecond=0), usegmt=True))
        _send_unless_known(req, resp, crl.der, f"{issuer_id}-{shard}-{crl.number}", "application/pkix-crl")

    on_head = on_get


@dataclass(frozen=True, slots=True)
class IssuerResource:
    """The issuing certificate, for those who have a certificate and no chain (RFC 5280 §4.2.2.1)."""

    parts: Parts

    def on_get(self, req: falcon.Request, resp: falcon.Response, issuer_id: str) -> None:
        """Return the certificate in DER."""
        issuer = self.parts.ca.issuer_named(issuer_id)
        if issuer is None:
            raise Refusal(RefusalKind.NOT_FOUND, "there is no such issuing certificate")
        resp.set_header("Cache-Control", _ISSUER_CACHING)
        _send_unless_known(req, resp, issuer.certificate_der, issuer_id, "application/pkix-cert")

    on_head = on_get


def _send_unless_known(req: falcon.Request, resp: falcon.Response, body: bytes, etag: str, content_type: str) -> None:
    """Send the body with its ETag, or 304 where the client's If-None-Match has it (RFC 9110 §13.1.2)."""
    resp.etag = etag
    if any(known in ("*", etag) for known in req.if_none_match or ()):
        resp.status = falcon.HTTP_304
        return
    resp.data = body
    resp.content_type = content_type
