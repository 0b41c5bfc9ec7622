"""What the resources share: the authority, and the parts of this room."""

from __future__ import annotations

from dataclasses import dataclass

from ca_server.issuing import CertificateAuthority
from ca_server.web.nonces import Nonces
from ca_server.web.objects import Objects
from ca_server.web.signed_request import SignedRequests
from ca_server.web.urls import Urls
from serving.web.client_address import ClientAddresses


@dataclass(frozen=True, slots=True)
class Parts:
    """One authority's web room. `terms_url` is where its terms can be read, if it has any."""

    ca: CertificateAuthority
    urls: Urls
    nonces: Nonces
    addresses: ClientAddresses
    requests: SignedRequests
    objects: Objects
    terms_url: str | None
