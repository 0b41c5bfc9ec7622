"""What a refusal must look like on the web, in one assertion."""

from __future__ import annotations

import falcon.testing

from tests.fakes.acme_requests import Json


def assert_problem(result: falcon.testing.Result, type_: str, status: int = 400) -> Json:
    """Check that the response is a problem document of this ACME type and status, with a nonce; return it."""
    assert result.headers["content-type"] == "application/problem+json", result.text
    problem: Json = result.json
    assert (problem["type"], result.status_code) == (f"urn:ietf:params:acme:error:{type_}", status), result.text
    assert problem["status"] == status
    assert problem["detail"]
    assert result.headers["replay-nonce"]
    return problem
