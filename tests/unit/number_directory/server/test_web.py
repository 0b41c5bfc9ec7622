from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from number_directory.server.config import Metrics
from number_directory.server.errors import ConfigurationError, RefusalKind
from number_directory.server.web.operations import metrics_door, operations
from number_directory.server.web.problems import PROBLEM_TYPES
from number_directory.statement import statement_body
from tests.fakes.directory_statements import dumps, forged
from tests.fakes.directory_world import OWNER, DirectoryWorld, refusal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["+12025550123", "chat.example"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["tn", "app", "seq", "iat", "exp", "uris", "aud", "jti"]) | st.text(), inner)
    ),
    max_leaves=12,
)


def test_every_refusal_has_a_problem_type() -> None:
    """No kind is without a status and a meaning."""
    assert set(PROBLEM_TYPES) == set(RefusalKind)


def test_the_document_is_made_of_the_operations_that_are_served(small_world: DirectoryWorld) -> None:
    """Each path and method of openapi.json answers, and no other is served."""
    document = small_world.client.simulate_get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(one.method, one.path) for one in operations(small_world.directory)}
    for method, path in described:
        place = path.replace("{hash}", "A" * 43).replace("{path}", "0/000").replace("{bucket}", "0-0")
        assert small_world.client.simulate_request(method, place).status_code != 405


def test_every_reference_of_the_document_leads_somewhere(small_world: DirectoryWorld) -> None:
    """All schemas that are named are there."""
    text = small_world.client.simulate_get("/openapi.json").text
    schemas = msgspec.json.decode(text)["components"]["schemas"]
    named = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named == set(schemas)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("GET", "/nowhere", (404, "notFound")), ("GET", "/lookup", (405, "methodNotAllowed"))],
)
def test_what_is_not_there_is_a_problem(
    small_world: DirectoryWorld, method: str, path: str, expected: tuple[int, str]
) -> None:
    """Falcon's own refusals leave as our problem documents."""
    assert refusal(small_world.client.simulate_request(method, path)) == expected


@pytest.mark.parametrize("path", ["/records", "/access-lists", "/own", "/lookup", "/moves", "/hidden/evaluate"])
class TestBodies:
    """What every POST does with what it is sent."""

    def test_a_body_that_is_not_announced_as_json_is_refused(self, small_world: DirectoryWorld, path: str) -> None:
        """A form that a web page could send across origins is not taken."""
        assert refusal(small_world.client.simulate_post(path, body=b"{}")) == (415, "unsupportedMediaType")

    def test_a_body_that_is_too_large_is_refused(self, small_world: DirectoryWorld, path: str) -> None:
        """Nobody fills our memory."""
        assert refusal(small_world.send(path, b" " * 70_000)) == (413, "requestTooLarge")

    @pytest.mark.parametrize(
        "body", [b"", b"null", b"{", b"{}", b'{"statement": 1}', b'{"statement": "a.b.c"}', b"\xff"]
    )
    def test_a_body_that_carries_no_statement_is_malformed(
        self, small_world: DirectoryWorld, path: str, body: bytes
    ) -> None:
        """Whatever is no statement is told what it should be."""
        assert refusal(small_world.send(path, body)) == (400, "malformed")

    def test_a_statement_of_another_kind_is_malformed(self, small_world: DirectoryWorld, path: str) -> None:
        """A statement is good for what it is."""
        tokens: dict[str, Callable[[], str]] = {
            "/records": small_world.own_token,
            "/access-lists": small_world.record_token,
            "/own": small_world.record_token,
            "/lookup": small_world.own_token,
            "/moves": small_world.access_list_token,
            "/hidden/evaluate": lambda: small_world.lookup_token([OWNER]),
        }
        assert refusal(small_world.post(path, tokens[path]())) == (400, "malformed")

    def test_a_statement_that_was_changed_is_refused(self, small_world: DirectoryWorld, path: str) -> None:
        """One bit of the signature."""
        tokens: dict[str, Callable[[], str]] = {
            "/records": small_world.record_token,
            "/access-lists": small_world.access_list_token,
            "/own": small_world.own_token,
            "/lookup": lambda: small_world.lookup_token([OWNER]),
            "/moves": lambda: small_world.move_token("https://other.example"),
            "/hidden/evaluate": small_world.hidden_token,
        }
        small_world.keeper().fill()
        token, tail = tokens[path](), ""
        if path == "/records":
            token, _, tail = token.partition("~")
            tail = "~" + tail
        changed = token[:-20] + ("A" if token[-20] != "A" else "B") + token[-19:]
        assert refusal(small_world.post(path, changed + tail)) == (403, "wrongSignature")


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_statement_makes_the_directory_fail(small_world: DirectoryWorld, data: st.DataObject) -> None:
    """Whatever is changed in a good statement, header, claims or signature, it is refused or taken, and no more."""
    path, token = data.draw(st.sampled_from(sorted(_good_statements(small_world).items())))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(token) - 1))
        new = data.draw(st.text('AZaz09-_.~{}"\\ é', max_size=4))
        token = token[:at] + new + token[at + data.draw(st.integers(0, 4)) :]
    assert small_world.post(path, token).status_code in {200, 400, 403, 409, 413}


@given(
    claims=JSON,
    typ=st.sampled_from(["tn-record+jwt", "tn-acl+jwt", "tn-own+jwt", "tn-lookup+jwt", "tn-move+jwt", "tn-hidden+jwt"]),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_signed_claims_make_the_directory_fail(small_world: DirectoryWorld, claims: object, typ: str) -> None:
    """An admitted number may sign whatever JSON it likes."""
    token = forged(typ, dumps(claims), small_world.held())
    for path in ("/records", "/access-lists", "/own", "/lookup", "/moves", "/hidden/evaluate"):
        text = token + "~" if path == "/records" else token
        assert small_world.post(path, text).status_code == 400


@lru_cache(1)
def _good_statements(world: DirectoryWorld) -> dict[str, str]:
    return {
        "/records": world.record_token(),
        "/access-lists": world.access_list_token(),
        "/own": world.own_token(),
        "/lookup": world.lookup_token([OWNER]),
        "/moves": world.move_token("https://other.example"),
    }


def test_a_mistake_of_ours_is_an_incident_without_details(
    small_world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gets a name for it, and nothing of what happened."""
    broken = small_world.directory.storage.grants

    def fail(*_: object) -> object:
        raise RuntimeError("+12025550123")

    monkeypatch.setattr(type(broken), "shown", fail)
    result = small_world.send("/lookup", b'{"numbers":["+12025550123"]}')
    assert refusal(result) == (500, "serverInternal")
    assert "2025550123" not in result.text


def test_the_description_says_where_and_who(small_world: DirectoryWorld) -> None:
    """directory.json is what owners and callers are given."""
    result = small_world.client.simulate_get("/directory.json")
    assert result.json["url"] == small_world.config.url
    assert small_world.client.simulate_head("/directory.json").status_code == 200


def test_health_asks_the_database(world: DirectoryWorld) -> None:
    """A sign of life."""
    assert world.client.simulate_get("/health").json == {"status": "ok"}


def test_metrics_are_shown_to_whom_the_operator_says(tmp_path: Path) -> None:
    """With a token, only with it."""
    (tmp_path / "token").write_text("long-and-random\n")
    world = DirectoryWorld.make(tmp_path / "d", metrics=Metrics("token", tmp_path / "token"))
    try:
        world.look_up(OWNER)
        assert refusal(world.client.simulate_get("/metrics")) == (401, "unauthorized")
        wrong = {"Authorization": "Bearer something"}
        assert world.client.simulate_get("/metrics", headers=wrong).status_code == 401
        result = world.client.simulate_get("/metrics", headers={"Authorization": "Bearer long-and-random"})
        assert 'directory_lookups_total{kind="signed"} 1.0' in result.text
        assert "directory_record_log_size 0.0" in result.text
        assert OWNER.digits not in result.text
    finally:
        world.close()


def test_metrics_are_nobodys_unless_the_operator_says(small_world: DirectoryWorld) -> None:
    """An operator who says nothing shows nothing."""
    assert refusal(small_world.client.simulate_get("/metrics")) == (401, "unauthorized")


def test_counts_are_those_of_all_front_ends_and_outlive_them(world: DirectoryWorld) -> None:
    """Each process counts in its own file; the sums are everybody's, and go on after a restart."""
    other = world.front_end()
    world.look_up(OWNER)
    world.send("/lookup", statement_body(world.lookup_token([OWNER])), other)
    line = 'directory_lookups_total{kind="signed"} 2.0'
    assert line in world.directory.metrics.expose(dict).decode()
    world._more.pop().close()
    world.front_end()
    assert line in world.directory.metrics.expose(dict).decode()


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_token_file_without_a_token_is_a_mistake(tmp_path: Path, content: str | None) -> None:
    """An empty word opens nothing."""
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match="token_file"):
        metrics_door("token", file)
