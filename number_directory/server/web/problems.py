"""Refusals as problem documents: the directory's table of types, statuses and meanings (RFC 9457; problems.md)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import falcon

from number_directory.server.directory import Directory
from number_directory.server.errors import RefusalKind
from serving.web.problems import Problems, ProblemType, own_type


class Problem(NamedTuple):
    """A problem type: its status, and when it is told."""

    status: HTTPStatus
    meaning: str


PROBLEMS: dict[RefusalKind, Problem] = {
    RefusalKind.CERTIFICATE_ENDED: Problem(
        HTTPStatus.FORBIDDEN, "the certificate has expired, was revoked, or is from before a port of the number"
    ),
    RefusalKind.CONFLICT: Problem(HTTPStatus.CONFLICT, "another statement with the same seq was accepted before"),
    RefusalKind.DIRECTORY_BUSY: Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the same request may succeed in a while"),
    RefusalKind.MALFORMED: Problem(HTTPStatus.BAD_REQUEST, "the request or the statement in it has another form"),
    RefusalKind.METHOD_NOT_ALLOWED: Problem(HTTPStatus.METHOD_NOT_ALLOWED, "the resource does not take this method"),
    RefusalKind.MOVED: Problem(HTTPStatus.CONFLICT, "the number has moved to another directory"),
    RefusalKind.NOT_ADMITTED: Problem(
        HTTPStatus.FORBIDDEN, "the certificate leads to no authority that this directory admits, or is another number's"
    ),
    RefusalKind.NOT_FOUND: Problem(HTTPStatus.NOT_FOUND, "there is no such resource"),
    RefusalKind.NOT_FRESH: Problem(HTTPStatus.FORBIDDEN, "it was signed too long ago, or in the future"),
    RefusalKind.OUTDATED: Problem(HTTPStatus.CONFLICT, "a newer statement counts, or this one has expired"),
    RefusalKind.QUOTA_EXCEEDED: Problem(
        HTTPStatus.TOO_MANY_REQUESTS, "too many of what a quota counts: new numbers, statements, buckets"
    ),
    RefusalKind.REPLAYED: Problem(HTTPStatus.FORBIDDEN, "the request was answered before"),
    RefusalKind.REQUEST_TOO_LARGE: Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large"),
    RefusalKind.SERVER_INTERNAL: Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong here"),
    RefusalKind.TOO_MANY_APPS: Problem(HTTPStatus.FORBIDDEN, "the number has records for too many apps"),
    RefusalKind.TOO_MANY_GRANTS: Problem(HTTPStatus.FORBIDDEN, "the number's apps have too many grants together"),
    RefusalKind.UNAUTHORIZED: Problem(HTTPStatus.UNAUTHORIZED, "whoever asks may not"),
    RefusalKind.UNSUPPORTED_MEDIA_TYPE: Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is not announced as JSON"),
    RefusalKind.WRONG_AUDIENCE: Problem(HTTPStatus.FORBIDDEN, "it was signed for another directory"),
    RefusalKind.WRONG_SIGNATURE: Problem(HTTPStatus.FORBIDDEN, "the certificate's key did not sign it"),
}


PROBLEM_TYPES: Mapping[str, ProblemType] = {
    kind: own_type(kind.value, problem.status) for kind, problem in PROBLEMS.items()
}


class CountedProblems(Problems):
    """Problem documents, counted by type."""

    def __init__(self, directory: Directory) -> None:
        """Take the counts."""
        super().__init__(PROBLEM_TYPES, directory.random_bytes, begin_at="openapi.json says what there is")
        self._metrics = directory.metrics

    def send(self, resp: falcon.Response, kind: str, status: HTTPStatus, document: dict[str, Any]) -> None:
        """Count it, and make the response a problem document."""
        self._metrics.refused(kind)
        super().send(resp, kind, status, document)
