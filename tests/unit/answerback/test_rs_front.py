from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from answerback.rs.app import Front, WsgiApp


def saying(name: str) -> WsgiApp:
    """Return an application that answers with its name and the path that it sees."""

    def app(environ: dict[str, Any], _start_response: Callable[..., Any]) -> Iterable[bytes]:
        return [f"{name} {environ.get('PATH_INFO', '')}".encode()]

    return app


@pytest.mark.parametrize(
    ("path", "answered"),
    [
        ("/directory", "directory /directory"),
        ("/directory/lookup", "directory /directory/lookup"),
        ("/log/2026h2/checkpoint", "log /log/2026h2/checkpoint"),
        ("/directory.json", "rest /directory.json"),
        ("/logs/x", "rest /logs/x"),
        ("//directory", "rest //directory"),
        ("/acme/index", "rest /acme/index"),
        ("/", "rest /"),
        ("", "rest "),
        ("directory", "rest directory"),
    ],
)
def test_a_request_goes_to_the_program_below_whose_path_it_is(path: str, answered: str) -> None:
    """The first step of the path decides; what is nobody's goes to the authority, which says that it is nowhere."""
    front = Front(saying("rest"), {"/directory": saying("directory"), "/log": saying("log")})
    assert b"".join(front({"PATH_INFO": path}, lambda *_: None)).decode() == answered
