"""Refusals as problem documents (RFC 9457): whatever was raised leaves as one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import falcon

from serving.errors import CommonKind, Refusal
from serving.log import describe
from serving.web.responses import send_json, send_wait

CONTENT_TYPE = "application/problem+json"

_OWN = "urn:uuid:16980791-0ad8-4e83-a8fc-e5cc693db089#"
_INCIDENT_BYTES = 4

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What a kind of refusal is called on the web."""

    uri: str
    status: HTTPStatus


def own_type(name: str, status: HTTPStatus) -> ProblemType:
    """Return a type of the project's own: its UUID and a name (docs/reference/problems.md)."""
    return ProblemType(_OWN + name, status)


def problem_document(
    types: Mapping[str, ProblemType], kind: str, detail: str, status: HTTPStatus | None = None
) -> dict[str, Any]:
    """Return the members of the problem document of a refusal; `status` overrides the table's."""
    known = types[kind]
    return {"type": known.uri, "detail": detail, "status": int(status or known.status)}


class Problems:
    """Falcon error handlers of a program, by the one table of its types and statuses.

    The table has all of `CommonKind`. A program that adds members or headers, or counts, derives from this.
    """

    def __init__(
        self, types: Mapping[str, ProblemType], random_bytes: Callable[[int], bytes], *, begin_at: str
    ) -> None:
        """Take the table, the randomness that names incidents, and what tells a lost client where to begin."""
        self._types = types
        self._random_bytes = random_bytes
        self._begin_at = begin_at

    def install(self, app: falcon.App[Any, Any]) -> None:
        """Put the handlers in place of Falcon's own."""
        app.add_error_handler(Exception, self._unexpected)
        app.add_error_handler(falcon.HTTPError, self._of_falcon)
        app.add_error_handler(Refusal, self._refused)

    def document(self, kind: str, detail: str, status: HTTPStatus | None = None) -> dict[str, Any]:
        """Return the problem document of a refusal."""
        return problem_document(self._types, kind, detail, status)

    def refused(self, refusal: Refusal, resp: falcon.Response, document: dict[str, Any]) -> None:
        """Add to the response of a refusal, or to the document; nothing, where a program does not say what."""

    def send(self, resp: falcon.Response, kind: str, status: HTTPStatus, document: dict[str, Any]) -> None:
        """Make the response a problem document of this kind."""
        del kind  # for those who count
        resp.status = status
        resp.content_type = CONTENT_TYPE
        resp.set_header("Cache-Control", "no-store")
        send_json(resp, document)

    def _refused(self, _req: falcon.Request, resp: falcon.Response, refusal: Refusal, _params: dict[str, Any]) -> None:
        document = self.document(refusal.kind, refusal.detail) | refusal.members
        send_wait(resp, refusal.retry_after)
        self.refused(refusal, resp, document)
        self.send(resp, refusal.kind, self._types[refusal.kind].status, document)

    def _of_falcon(
        self, _req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: dict[str, Any]
    ) -> None:
        """Say what Falcon refused in our words; its headers, such as Allow, stay."""
        resp.set_headers(error.headers or {})
        status = HTTPStatus(error.status_code)
        match status:
            case HTTPStatus.NOT_FOUND:
                kind, detail = CommonKind.NOT_FOUND, f"there is no such resource; {self._begin_at}"
            case HTTPStatus.METHOD_NOT_ALLOWED:
                kind, detail = CommonKind.METHOD_NOT_ALLOWED, "this resource does not take this method; see Allow"
            case _:
                kind, detail = CommonKind.MALFORMED, "the HTTP request is malformed"
        self.send(resp, kind, status, self.document(kind, detail, status))

    def _unexpected(
        self, req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, Any]
    ) -> None:
        """Tell the client nothing but a name for what happened, under which the operator finds it in the log."""
        incident = self._random_bytes(_INCIDENT_BYTES).hex()
        _log.error("incident %s: %s %s: %s", incident, req.method, req.uri_template, describe(error))
        detail = f"something went wrong here, and not by your fault; tell the operator: incident {incident}"
        kind = CommonKind.SERVER_INTERNAL
        self.send(resp, kind, HTTPStatus.INTERNAL_SERVER_ERROR, self.document(kind, detail))
