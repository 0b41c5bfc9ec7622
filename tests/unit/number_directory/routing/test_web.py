from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import falcon.testing
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from number_directory.routing import serve as serving_module
from number_directory.routing import web
from number_directory.routing.answers import PrefixAnswer
from number_directory.routing.asking import MapServer
from number_directory.routing.errors import MapFormatError, MapServerError, RoutingError
from number_directory.routing.routing_map import LiveMap
from number_directory.routing.serve import serve_map
from number_directory.routing.web import create_app
from serving.errors import ConfigurationError
from serving.gunicorn import WebProgram
from serving.settings import Tls
from stir.telephone_number import TelephoneNumber
from tests.fakes.routing_world import RoutingWorld
from transparency.transport import Answer, Question, Unreachable

NUMBER = TelephoneNumber("12025550123")
UNKNOWN = TelephoneNumber("99912345678")
LISTED = [f"+1202555{place:04},rs-b.example" for place in range(2000)]


@pytest.fixture
def client(world: RoutingWorld) -> Iterator[falcon.testing.TestClient]:
    """Return a client of a publisher's map server."""
    world.build("+1*,rs-a.example", "+44*,rs-b.example", *LISTED, "+442079460000,rs-c.example")
    live = LiveMap(world.publisher.map_folder, world.clock)
    yield falcon.testing.TestClient(create_app(live, world.public))
    web._unpacked.cache_clear()


class Asked:
    """Asks a map server without a network, and changes what it answers where told."""

    def __init__(self, client: falcon.testing.TestClient) -> None:
        """Remember what was asked."""
        self._client = client
        self.paths: list[str] = []
        self.instead: Answer | Unreachable | None = None

    def ask(self, question: Question) -> Answer:
        """Answer."""
        path = question.url.removeprefix("https://map.example")
        self.paths.append(path)
        if isinstance(self.instead, Unreachable):
            raise self.instead
        if self.instead is not None:
            return self.instead
        result = self._client.simulate_get(path)
        return Answer(result.status_code, result.content)


@pytest.fixture
def asked(client: falcon.testing.TestClient) -> Asked:
    """Return a transport to the map server."""
    return Asked(client)


@pytest.fixture
def server(asked: Asked, world: RoutingWorld) -> MapServer:
    """Return the client half."""
    return MapServer("https://map.example/", asked, world.clock)


def test_a_number_that_nobody_has_is_answered_like_others(client: falcon.testing.TestClient) -> None:
    """The answer has the same members and headers for a number that is listed, by its prefix, and unknown."""
    answers = [client.simulate_get(f"/resolve/+{digits}") for digits in ("12025550123", "12125550123", "99912345678")]
    assert [answer.json["service"]["name"] for answer in answers] == ["rs-b.example", "rs-a.example", "rs-c.example"]
    assert len({answer.status for answer in answers}) == 1
    assert len({(*sorted(answer.json), *sorted(answer.headers)) for answer in answers}) == 1
    assert len({len(answer.content) for answer in answers}) == 1
    assert answers[0].headers["cache-control"] == "no-store"
    assert b"2025550123" not in answers[0].content


def test_a_client_gets_what_a_replica_would_say(server: MapServer, world: RoutingWorld) -> None:
    """Asked for a number or for its prefix, the server leads to the same service, and says how old its map is."""
    for number in (NUMBER, UNKNOWN, TelephoneNumber("442079460000"), TelephoneNumber("1212555")):
        answers = [server.resolve(number), *(server.resolve_hidden(number, hidden) for hidden in (1, 4, 6))]
        assert len({answer.service for answer in answers}) == 1
        assert {answer.version for answer in answers} == {2}
    world.clock.now += 48 * 3600
    assert answers[0].is_stale
    assert server.resolve(NUMBER).is_stale


def test_the_server_does_not_see_what_is_hidden(server: MapServer, asked: Asked) -> None:
    """With four digits hidden the server learns a prefix of ten thousand numbers; and never less than one digit."""
    server.resolve_hidden(NUMBER)
    server.resolve_hidden(TelephoneNumber("1212555"), 9)
    assert asked.paths == ["/prefixes/+1202555", "/prefixes/+1"]


def test_too_many_numbers_are_not_told_at_once(
    client: falcon.testing.TestClient, server: MapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more numbers with a prefix are listed than fit into an answer, a longer prefix is asked for."""
    monkeypatch.setattr(web, "MOST_NUMBERS", 1500)
    refused = client.simulate_get("/prefixes/+1202555")
    assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")
    assert refused.json["type"].endswith("#tooManyNumbers")
    with pytest.raises(MapServerError, match="ask for a longer one"):
        server.resolve_hidden(NUMBER, 5)
    assert server.resolve_hidden(NUMBER, 3).service.name == "rs-b.example"


@pytest.mark.parametrize(
    "path", ["/resolve/12025550123", "/resolve/+1202", "/prefixes/1202", "/prefixes/+0", "/prefixes/+"]
)
def test_what_is_no_number_is_refused(client: falcon.testing.TestClient, path: str) -> None:
    """Numbers and prefixes begin with + and have digits only."""
    refused = client.simulate_get(path)
    assert refused.status_code == 400
    assert refused.json["type"].endswith("#malformed")
    assert "+1202" in refused.json["detail"]


@given(st.text(max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_is_a_servers_error(client: falcon.testing.TestClient, text: str) -> None:
    """Whatever is asked for, it is answered or refused."""
    for path in (f"/resolve/{text}", f"/prefixes/{text}", f"/{text}", f"/chunks/{text}"):
        assert client.simulate_get(path.encode("utf-8", "replace").decode("latin-1").replace("?", "")).status_code < 500


def test_a_publishers_files_are_handed_out(client: falcon.testing.TestClient, world: RoutingWorld) -> None:
    """All files of the repository are served: those that are named after their content for good."""
    for path in world.public.rglob("*"):
        if path.is_file():
            found = client.simulate_get(f"/{path.relative_to(world.public)}")
            assert found.content == path.read_bytes()
            lasting = "max-age=60" if path.name == "timestamp.json" else "immutable"
            assert lasting in found.headers["cache-control"]
    assert client.simulate_head("/metadata/timestamp.json").status_code == 200
    assert client.simulate_post("/metadata/timestamp.json").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/metadata/2.root.json",
        "/metadata/",
        "/metadata/../map.toml",
        "/metadata/..%2f..%2fmap.toml",
        "/chunks/..",
        "/targets/x",
        "/keys/online.key",
    ],
)
def test_nothing_else_is_handed_out(client: falcon.testing.TestClient, path: str) -> None:
    """What is not there, or no file of a repository, is not found."""
    assert client.simulate_get(path).status_code == 404


def test_a_replicas_server_hands_out_no_files(world: RoutingWorld) -> None:
    """Whoever only holds a map answers from it."""
    world.replica().update()
    app = falcon.testing.TestClient(create_app(LiveMap(world.folder / "replica", world.clock)))
    assert app.simulate_get("/metadata/timestamp.json").status_code == 404
    assert app.simulate_get("/health").json == {"version": 1, "age": 0, "stale": False}


@pytest.mark.parametrize("path", ["/resolve/+12025550123", "/prefixes/+12025"])
def test_a_damaged_map_is_said_to_be_one(world: RoutingWorld, path: str) -> None:
    """A chunk that is not what was signed makes 503, and no wrong answer."""
    world.replica().update()
    (file,) = (world.folder / "replica").glob("*.map")
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)
    app = falcon.testing.TestClient(create_app(LiveMap(world.folder / "replica", world.clock)))
    refused = app.simulate_get(path)
    assert (refused.status_code, refused.json["type"].rpartition("#")[2]) == (503, "mapDamaged")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(500, b"oops"), "answered 500: it does not say why"),
        (Answer(400, b'{"detail": "no\\nsuch"}'), "answered 400: no such"),
        (Answer(200, b"[" * 10_000), "cannot be read"),
        (Answer(200, b"{}"), "cannot be read"),
        (Unreachable("map.example did not answer"), "did not answer"),
    ],
)
def test_a_server_that_answers_nonsense_is_told(
    server: MapServer, asked: Asked, answer: Answer | Unreachable, words: str
) -> None:
    """Whatever a map server does, the client raises one of the room's errors, in one line."""
    asked.instead = answer
    for ask in (server.resolve, server.resolve_hidden):
        with pytest.raises(RoutingError, match=words) as caught:
            ask(NUMBER)
        assert "\n" not in str(caught.value)


def _answer(client: falcon.testing.TestClient, path: str) -> PrefixAnswer:
    return msgspec.json.decode(client.simulate_get(path).content, type=PrefixAnswer)


def test_an_answer_for_other_numbers_is_refused(
    client: falcon.testing.TestClient, server: MapServer, asked: Asked
) -> None:
    """A server that answers for another prefix, or leaves a service out, is found out."""
    asked.instead = Answer(200, msgspec.json.encode(_answer(client, "/prefixes/+1203555")))
    with pytest.raises(MapFormatError, match="other numbers than those"):
        server.resolve_hidden(NUMBER)
    bare = msgspec.structs.replace(_answer(client, "/prefixes/+1202555"), services=())
    asked.instead = Answer(200, msgspec.json.encode(bare))
    with pytest.raises(MapFormatError, match="does not describe"):
        server.resolve_hidden(NUMBER)
    said = {"version": 1, "as_of": 1, "expires": 1, "age": 1, "stale": False}
    service = msgspec.json.encode({"service": {"name": "X", "operator": "", "url": "", "description": None}, **said})
    asked.instead = Answer(200, service)
    with pytest.raises(MapFormatError):
        server.resolve(NUMBER)


def test_the_reference_lists_every_problem() -> None:
    """docs/reference/routing-map.md has a row for each kind, with its status."""
    reference = (Path(__file__).parents[4] / "docs" / "reference" / "routing-map.md").read_text(encoding="utf-8")
    for kind, known in web.PROBLEM_TYPES.items():
        assert re.search(rf"\| `{kind}` \| {int(known.status)} \|", reference), kind


def test_a_map_is_served_with_its_publishers_settings(world: RoutingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher's folder is served with its files, at its own address unless told another."""
    programs: list[WebProgram] = []

    def serve(program: WebProgram, _: object) -> int:
        programs.append(program)
        return 0

    monkeypatch.setattr(serving_module, "serve", serve)
    monkeypatch.setattr(serving_module, "configure_log", lambda **_: None)
    world.replica().update()
    assert serve_map(world.folder / "publisher", print) == 0
    serve_map(world.folder / "replica", print, "[::1]:9", None)
    serve_map(world.folder / "replica", print, "0.0.0.0:443", Tls(Path("a"), Path("b")))
    assert [program.server.bind for program in programs] == ["127.0.0.1:14300", "[::1]:9", "0.0.0.0:443"]
    served = [falcon.testing.TestClient(program.create_app()) for program in programs[:2]]  # type: ignore[arg-type]
    assert [client.simulate_get("/metadata/timestamp.json").status_code for client in served] == [200, 404]
    with pytest.raises(ConfigurationError, match="without TLS"):
        serve_map(world.folder / "replica", print, "0.0.0.0:80")
    serve_map(world.folder / "nothing", print)
    with pytest.raises(ConfigurationError, match="there is no map"):
        programs[-1].create_app()
