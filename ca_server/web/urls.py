"""Where every resource stands: the one place that spells a URL of this server (RFC 8555 §7.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from falcon.routing.converters import BaseConverter

INDEX = "/acme/index"
NEW_NONCE = "/acme/new-nonce"
NEW_ACCOUNT = "/acme/new-account"
NEW_ORDER = "/acme/new-order"
REVOKE_CERT = "/acme/revoke-cert"
KEY_CHANGE = "/acme/key-change"
ACCOUNT = "/acme/account/{object_id:id}"
ORDERS = "/acme/account/{object_id:id}/orders"
ORDER = "/acme/order/{object_id:id}"
FINALIZE = "/acme/order/{object_id:id}/finalize"
AUTHORIZATION = "/acme/authorization/{object_id:id}"
CHALLENGE = "/acme/challenge/{object_id:id}"
CERTIFICATE = "/acme/certificate/{object_id:id}"
REVOCATION_LIST = "/crl/{issuer_id:id}/{shard:int}.crl"
ISSUER = "/issuer/{issuer_id:id}.der"
TERMS = "/terms"
HEALTH = "/health"

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def is_id(text: str) -> bool:
    """Tell whether the text could be an object's id; nothing else is ever looked for in a database."""
    return bool(_ID.fullmatch(text))


class IdConverter(BaseConverter):
    """Let only texts through that could be an object's id: letters, digits, `_` and `-`."""

    def convert(self, value: str) -> str | None:
        """Return the id, or None where the text is none: the router then finds no resource."""
        return value if is_id(value) else None


@dataclass(frozen=True, slots=True)
class Urls:
    """The URLs under `public_url`, which has no trailing slash."""

    public_url: str

    def at(self, path: str, query: str = "") -> str:
        """Return the URL that a client used to reach `path`, whatever proxy stands between."""
        return f"{self.public_url}{path}?{query}" if query else self.public_url + path

    def account(self, account_id: str) -> str:
        """Return the URL of an account, which is also its `kid`."""
        return f"{self.public_url}/acme/account/{account_id}"

    def account_id(self, kid: str) -> str | None:
        """Return the id of the account that a `kid` names; None where it is no account URL of this server."""
        prefix = self.account("")
        tail = kid.removeprefix(prefix)
        return tail if tail != kid and is_id(tail) else None

    def orders(self, account_id: str, cursor: str | None = None) -> str:
        """Return the URL of an account's list of orders, from `cursor` on."""
        query = f"?cursor={quote(cursor, safe='')}" if cursor else ""
        return f"{self.public_url}/acme/account/{account_id}/orders{query}"

    def order(self, order_id: str) -> str:
        """Return the URL of an order."""
        return f"{self.public_url}/acme/order/{order_id}"

    def finalize(self, order_id: str) -> str:
        """Return the URL that an order's CSR is sent to."""
        return f"{self.public_url}/acme/order/{order_id}/finalize"

    def authorization(self, authorization_id: str) -> str:
        """Return the URL of an authorization."""
        return f"{self.public_url}/acme/authorization/{authorization_id}"

    def challenge(self, challenge_id: str) -> str:
        """Return the URL of a challenge."""
        return f"{self.public_url}/acme/challenge/{challenge_id}"

    def certificate(self, certificate_id: str) -> str:
        """Return the URL of a certificate."""
        return f"{self.public_url}/acme/certificate/{certificate_id}"
