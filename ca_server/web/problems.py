"""Refusals as problem documents: the one table of types and statuses (RFC 8555 §6.7, RFC 9457).

A type that IANA does not list in "ACME Error Types" is our own URI: the project's UUID and a name
(docs/reference/problems.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from ca_server.errors import RefusalKind
from ca_server.orders import Problem
from ca_server.web.jwk import ALGORITHMS
from serving.web import problems
from serving.web.problems import ProblemType, own_type

_ACME = "urn:ietf:params:acme:error:"


def _acme(name: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> ProblemType:
    return ProblemType(_ACME + name, status)


PROBLEM_TYPES: Mapping[str, ProblemType] = {
    RefusalKind.ACCOUNT_DEACTIVATED: _acme("unauthorized", HTTPStatus.UNAUTHORIZED),
    RefusalKind.ACCOUNT_DOES_NOT_EXIST: _acme("accountDoesNotExist"),
    RefusalKind.ALREADY_REVOKED: _acme("alreadyRevoked"),
    RefusalKind.BAD_CSR: _acme("badCSR"),
    RefusalKind.BAD_NONCE: _acme("badNonce"),
    RefusalKind.BAD_PUBLIC_KEY: _acme("badPublicKey"),
    RefusalKind.BAD_REVOCATION_REASON: _acme("badRevocationReason"),
    RefusalKind.BAD_SIGNATURE_ALGORITHM: _acme("badSignatureAlgorithm"),
    RefusalKind.CONFLICT: _acme("malformed", HTTPStatus.CONFLICT),
    RefusalKind.INCORRECT_RESPONSE: _acme("incorrectResponse", HTTPStatus.FORBIDDEN),
    RefusalKind.INVALID_CONTACT: _acme("invalidContact"),
    RefusalKind.MALFORMED: _acme("malformed"),
    RefusalKind.METHOD_NOT_ALLOWED: _acme("malformed", HTTPStatus.METHOD_NOT_ALLOWED),
    RefusalKind.NOT_FOUND: _acme("malformed", HTTPStatus.NOT_FOUND),
    RefusalKind.ORDER_NOT_READY: _acme("orderNotReady", HTTPStatus.FORBIDDEN),
    RefusalKind.RATE_LIMITED: _acme("rateLimited", HTTPStatus.TOO_MANY_REQUESTS),
    RefusalKind.REJECTED_IDENTIFIER: _acme("rejectedIdentifier", HTTPStatus.FORBIDDEN),
    RefusalKind.REQUEST_TOO_LARGE: _acme("malformed", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    RefusalKind.SERVER_INTERNAL: _acme("serverInternal", HTTPStatus.INTERNAL_SERVER_ERROR),
    RefusalKind.SMS_NOT_DELIVERED: own_type("smsNotDelivered", HTTPStatus.BAD_GATEWAY),
    RefusalKind.UNAUTHORIZED: _acme("unauthorized", HTTPStatus.FORBIDDEN),
    RefusalKind.UNSUPPORTED_CONTACT: _acme("unsupportedContact"),
    RefusalKind.UNSUPPORTED_IDENTIFIER: _acme("unsupportedIdentifier", HTTPStatus.FORBIDDEN),
    RefusalKind.UNSUPPORTED_MEDIA_TYPE: _acme("malformed", HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    RefusalKind.USER_ACTION_REQUIRED: _acme("userActionRequired", HTTPStatus.FORBIDDEN),
}


def problem_document(kind: str, detail: str, status: HTTPStatus | None = None) -> dict[str, Any]:
    """Return the members of the problem document of a refusal; `status` overrides the table's."""
    document = problems.problem_document(PROBLEM_TYPES, kind, detail, status)
    if kind == RefusalKind.SMS_NOT_DELIVERED:
        document["title"] = "The SMS was not delivered"
    if kind == RefusalKind.BAD_SIGNATURE_ALGORITHM:
        document["algorithms"] = list(ALGORITHMS)
    return document


def kept_problem(problem: Problem) -> dict[str, Any]:
    """Return the `error` member of an order or challenge that failed."""
    return problem_document(problem.kind, problem.detail)
