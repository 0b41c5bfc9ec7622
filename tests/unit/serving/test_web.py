from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import falcon
import pytest
from falcon import testing

from serving.errors import CommonKind, Refusal, StorageError
from serving.web.bodies import read_body
from serving.web.problems import Problems, own_type
from serving.web.responses import send_json

LARGEST = 10
STATUSES = {
    CommonKind.MALFORMED: HTTPStatus.BAD_REQUEST,
    CommonKind.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    CommonKind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    CommonKind.REQUEST_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    CommonKind.SERVER_INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    CommonKind.UNAUTHORIZED: HTTPStatus.FORBIDDEN,
}


class Counting(Problems):
    """Problem documents of a program that adds and counts."""

    def __init__(self) -> None:
        """Begin at nought."""
        super().__init__({kind: own_type(kind.value, at) for kind, at in STATUSES.items()}, bytes, begin_at="see /")
        self.sent: list[str] = []

    def refused(self, refusal: Refusal, resp: falcon.Response, document: dict[str, Any]) -> None:
        """Add a header and a member."""
        resp.set_header("X-Kind", refusal.kind)
        document["added"] = True

    def send(self, resp: falcon.Response, kind: str, status: HTTPStatus, document: dict[str, Any]) -> None:
        """Count."""
        self.sent.append(kind)
        super().send(resp, kind, status, document)


class Resource:
    """Does what a test says with the body."""

    def __init__(self, do: Callable[[bytes], object], *, chunked: bool = False) -> None:
        """Remember it."""
        self._do = do
        self._chunked = chunked

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Do it."""
        send_json(resp, self._do(read_body(req, LARGEST, chunked=self._chunked)))


def client_of(do: Callable[[bytes], object], problems: Problems, *, chunked: bool = False) -> testing.TestClient:
    """Return a client of an application with one resource."""
    app = falcon.App()
    problems.install(app)
    app.add_route("/", Resource(do, chunked=chunked))
    return testing.TestClient(app)


def refuse(_: bytes) -> object:
    """Refuse a request."""
    wait, members = timedelta(milliseconds=1), {"limit": 7}
    raise Refusal(CommonKind.UNAUTHORIZED, "not you", retry_after=wait, members=members)


def test_a_refusal_is_a_problem_document_with_what_its_program_adds() -> None:
    """RFC 9457 §3: type, status, detail and members; when to ask again; nothing that a cache keeps."""
    problems = Counting()
    answer = client_of(refuse, problems).simulate_post("/", body=b"x")
    assert answer.json == {
        "type": "urn:uuid:16980791-0ad8-4e83-a8fc-e5cc693db089#unauthorized",
        "status": 403,
        "detail": "not you",
        "limit": 7,
        "added": True,
    }
    assert answer.status_code == 403
    kept = {name: answer.headers[name] for name in ("content-type", "retry-after", "cache-control", "x-kind")}
    assert kept == {
        "content-type": "application/problem+json",
        "retry-after": "1",
        "cache-control": "no-store",
        "x-kind": "unauthorized",
    }
    assert problems.sent == ["unauthorized"]


def test_what_http_refuses_is_told_in_our_words() -> None:
    """An unknown path, a wrong method and a broken request are problem documents, their headers kept."""
    problems = Counting()

    def be_broken(_: bytes) -> object:
        raise falcon.HTTPInvalidHeader("secret", "Range")

    client = client_of(be_broken, problems)
    assert "see /" in client.simulate_get("/nowhere").json["detail"]
    wrong = client.simulate_get("/")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST, OPTIONS")
    broken = client.simulate_post("/", body=b"x")
    assert (broken.status_code, broken.json["detail"]) == (400, "the HTTP request is malformed")
    assert problems.sent == ["notFound", "methodNotAllowed", "malformed"]


@pytest.mark.parametrize("error", [ZeroDivisionError("secret"), StorageError("the row was refused")])
def test_a_fault_of_ours_is_an_incident(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """The client gets a name for it, under which the operator finds type and place in the log, and no secret."""

    def fail(_: bytes) -> object:
        raise error

    with caplog.at_level(logging.ERROR):
        answer = client_of(fail, Counting()).simulate_post("/", body=b"x")
    assert answer.status_code == 500
    assert answer.json["detail"].endswith("incident 00000000")
    assert f"incident 00000000: POST /: {type(error).__module__}." in caplog.text
    assert "secret" not in caplog.text + answer.text


def test_a_body_is_read_up_to_its_bound() -> None:
    """Neither a long body nor one of unknown length is read beyond what is allowed."""
    client = client_of(len, Counting())
    assert client.simulate_post("/", body=b"x" * LARGEST).json == LARGEST
    too_large = client.simulate_post("/", body=b"x" * (LARGEST + 1))
    assert (too_large.status_code, too_large.json["detail"]) == (413, "a request has at most 10 bytes")


@pytest.mark.parametrize(
    ("chunked", "size", "status"), [(False, 1, 400), (True, LARGEST, 200), (True, LARGEST + 1, 413)]
)
def test_a_chunked_body_is_taken_where_it_is_asked_for(chunked: bool, size: int, status: int) -> None:
    """Where it is, it is read up to one byte more than is allowed."""
    client = client_of(len, Counting(), chunked=chunked)
    extras = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    assert client.simulate_post("/", body=b"x" * size, extras=extras).status_code == status
