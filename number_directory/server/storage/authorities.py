"""The authorities above accepted records, so that their revocation lists can be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from cryptography import x509

from serving.database import Database
from stir.certificate_chain import read_pem_chain, write_pem_chain

_MOST_AUTHORITIES = 4096
_MOST_URLS = 1024
_REMEMBERED = 4096
_ISSUERS_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Issuer:
    """The chain above a number's certificate in PEM, named by its SHA-256, and the URLs that the certificate names."""

    id: bytes
    pem: str
    crl_urls: tuple[str, ...]

    @classmethod
    def of(cls, chain: Sequence[x509.Certificate], crl_urls: Sequence[str]) -> Issuer:
        """Return what stands above a certificate, given the chain from its issuer upwards."""
        return _issuer(tuple(chain), tuple(crl_urls))


@lru_cache(_ISSUERS_REMEMBERED)
def _issuer(chain: tuple[x509.Certificate, ...], crl_urls: tuple[str, ...]) -> Issuer:
    pem = write_pem_chain(chain)
    return Issuer(sha256(pem).digest(), pem.decode("ascii"), crl_urls)


@dataclass(frozen=True, slots=True)
class KeptAuthority:
    """The chain from the authority that issued certificates upwards, and where those say its list is."""

    id: bytes
    chain: tuple[x509.Certificate, ...]
    crl_urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Authorities:
    """All authorities that certify a record here, or certified a caller."""

    database: Database
    _noted: set[tuple[tuple[x509.Certificate, ...], tuple[str, ...]]] = field(default_factory=set, init=False)

    def ensure(self, issuer: Issuer) -> None:
        """Keep a chain above a number's certificate, and its URLs, in the caller's transaction."""
        self.database.run(
            "INSERT INTO directory_authorities (id, chain) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
            issuer.id,
            issuer.pem,
        )
        for url in issuer.crl_urls:
            self.database.run(
                "INSERT INTO directory_crls (authority, url) VALUES (?, ?) ON CONFLICT (authority, url) DO NOTHING",
                issuer.id,
                url,
            )

    def note(self, chain: tuple[x509.Certificate, ...], crl_urls: tuple[str, ...]) -> None:
        """Keep the chain above a caller's certificate, too, and its URLs, unless there are too many.

        Outside a transaction; durable soon. What this process has noted before costs nothing.
        """
        if (chain, crl_urls) in self._noted:
            return
        issuer = Issuer.of(chain, crl_urls)
        authorities = "SELECT COUNT(*) FROM directory_authorities WHERE id <> ?"
        urls = "SELECT COUNT(*) FROM directory_crls WHERE authority = ?"
        with self.database.transaction(synced=False):
            others, of_this = self.database.rows(f"SELECT ({authorities}), ({urls})", issuer.id, issuer.id)[0]
            if others < _MOST_AUTHORITIES and of_this < _MOST_URLS:
                self.ensure(issuer)
        if len(self._noted) >= _REMEMBERED:
            self._noted.clear()
        self._noted.add((chain, crl_urls))

    def all(self) -> list[KeptAuthority]:
        """Return all authorities."""
        urls: dict[bytes, list[str]] = {}
        for authority, url in self.database.rows("SELECT authority, url FROM directory_crls ORDER BY url"):
            urls.setdefault(bytes(authority), []).append(url)
        return [
            KeptAuthority(bytes(id_), read_pem_chain(chain.encode()), tuple(urls.get(bytes(id_), ())))
            for id_, chain in self.database.rows("SELECT id, chain FROM directory_authorities")
        ]
