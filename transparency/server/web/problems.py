"""Refusals as problem documents: the one table of types and statuses (RFC 9457).

Each type is our own URI: the project's UUID and a name (docs/reference/problems.md).
"""

from __future__ import annotations

from http import HTTPStatus

from transparency.server.errors import RefusalKind

CONTENT_TYPE = "application/problem+json"

_OWN = "urn:uuid:16980791-0ad8-4e83-a8fc-e5cc693db089#"

STATUSES: dict[RefusalKind, HTTPStatus] = {
    RefusalKind.CERTIFICATE_EXPIRED: HTTPStatus.BAD_REQUEST,
    RefusalKind.ISSUER_NOT_ADMITTED: HTTPStatus.FORBIDDEN,
    RefusalKind.LOG_BUSY: HTTPStatus.SERVICE_UNAVAILABLE,
    RefusalKind.MALFORMED: HTTPStatus.BAD_REQUEST,
    RefusalKind.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    RefusalKind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    RefusalKind.OUTSIDE_PROFILE: HTTPStatus.BAD_REQUEST,
    RefusalKind.OUTSIDE_SHARD: HTTPStatus.BAD_REQUEST,
    RefusalKind.REQUEST_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    RefusalKind.SERVER_INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    RefusalKind.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
}


def problem_document(kind: RefusalKind, detail: str, status: HTTPStatus | None = None) -> dict[str, object]:
    """Return the members of the problem document of a refusal; `status` overrides the table's."""
    return {"type": _OWN + kind.value, "detail": detail, "status": int(status or STATUSES[kind])}
