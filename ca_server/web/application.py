"""Puts the web room together: one Falcon application for one authority."""

from __future__ import annotations

import falcon

from ca_server.issuing import CertificateAuthority
from ca_server.web import urls
from ca_server.web.nonces import Nonces
from ca_server.web.objects import Objects
from ca_server.web.parts import Parts
from ca_server.web.resources.accounts import AccountOrders, AccountResource, KeyChange, NewAccount
from ca_server.web.resources.authorizations import AuthorizationResource, ChallengeResource
from ca_server.web.resources.certificates import (
    CertificateResource,
    IssuerResource,
    RevocationListResource,
    RevokeCert,
)
from ca_server.web.resources.health import Health
from ca_server.web.resources.index import AcmeIndex, NewNonce, Terms
from ca_server.web.resources.orders import Finalize, NewOrder, OrderResource
from ca_server.web.responses import AcmeProblems, EveryResponse
from ca_server.web.signed_request import SignedRequests
from serving.web.client_address import ClientAddresses

WebApp = falcon.App[falcon.Request, falcon.Response]


def build_web(ca: CertificateAuthority, *, reject_good_nonces: float = 0.0) -> WebApp:
    """Return the WSGI application of the authority.

    `reject_good_nonces` is the share of good nonces to refuse, 0 to 1: a test server's way to make clients learn to try
    again. Raises ConfigurationError where `trusted_proxies` holds something else than addresses and networks.
    """
    parts = _parts(ca, reject_good_nonces)
    app: WebApp = falcon.App(
        media_type=falcon.MEDIA_JSON, middleware=[EveryResponse(parts.nonces, parts.urls, parts.addresses)]
    )
    AcmeProblems(parts.urls, parts.terms_url, ca.random_bytes).install(app)
    app.router_options.converters["id"] = urls.IdConverter
    _add_routes(app, parts)
    return app


def _parts(ca: CertificateAuthority, reject_good_nonces: float) -> Parts:
    places = urls.Urls(ca.config.public_url)
    nonces = Nonces(
        ca.storage.secret("nonce"),
        ca.storage.nonces,
        clock=ca.clock,
        random_bytes=ca.random_bytes,
        reject_good=reject_good_nonces,
    )
    return Parts(
        ca=ca,
        urls=places,
        nonces=nonces,
        addresses=ClientAddresses(ca.config.server),
        requests=SignedRequests(ca, nonces, places),
        objects=Objects(ca, places),
        terms_url=_terms_url(ca.config.terms_of_service, places),
    )


def _terms_url(terms: str | None, places: urls.Urls) -> str | None:
    """Return where the terms can be read: where they say, or here, if they are the text itself."""
    return terms if terms is None or _is_url(terms) else places.at(urls.TERMS)


def _is_url(terms: str) -> bool:
    return terms.startswith(("https://", "http://"))


def _add_routes(app: WebApp, parts: Parts) -> None:
    resources: dict[str, object] = {
        urls.INDEX: AcmeIndex(parts),
        urls.NEW_NONCE: NewNonce(parts),
        urls.NEW_ACCOUNT: NewAccount(parts),
        urls.NEW_ORDER: NewOrder(parts),
        urls.REVOKE_CERT: RevokeCert(parts),
        urls.KEY_CHANGE: KeyChange(parts),
        urls.ACCOUNT: AccountResource(parts),
        urls.ORDERS: AccountOrders(parts),
        urls.ORDER: OrderResource(parts),
        urls.FINALIZE: Finalize(parts),
        urls.AUTHORIZATION: AuthorizationResource(parts),
        urls.CHALLENGE: ChallengeResource(parts),
        urls.CERTIFICATE: CertificateResource(parts),
        urls.REVOCATION_LIST: RevocationListResource(parts),
        urls.ISSUER: IssuerResource(parts),
        urls.HEALTH: Health(parts),
    }
    for path, resource in resources.items():
        app.add_route(path, resource)
    terms = parts.ca.config.terms_of_service
    if terms is not None and not _is_url(terms):
        app.add_route(urls.TERMS, Terms(terms))
