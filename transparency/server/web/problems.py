"""Refusals as problem documents: the log's table of types and statuses (RFC 9457; docs/reference/problems.md)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from serving.web.problems import ProblemType, own_type
from transparency.server.errors import RefusalKind

_STATUSES: dict[RefusalKind, HTTPStatus] = {
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

PROBLEM_TYPES: Mapping[str, ProblemType] = {kind: own_type(kind.value, status) for kind, status in _STATUSES.items()}
