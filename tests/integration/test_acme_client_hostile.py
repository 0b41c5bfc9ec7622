"""The client against an authority that errs or lies: nothing wrong is stored, followed, obeyed or waited for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acme_client.codes import RESEND, Notice
from acme_client.errors import (
    AcmeClientError,
    CodeNotGiven,
    Misbehaved,
    NotAsOrdered,
    NotProved,
    RateLimited,
    Refused,
    TookTooLong,
    Unreachable,
)
from acme_client.keys import new_key
from acme_client.revoke import revoke_held
from ca_server.orders import Status
from stir.telephone_number import TelephoneNumber
from tests.fakes.authority import make_issuance, make_issuer
from tests.fakes.enrolment_world import NUMBER, EnrolmentWorld, code_in, wrong
from tests.fakes.wsgi_adapter import response_to

Rewrite = Callable[[str, requests.Response], None]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[EnrolmentWorld]:
    """Return a world."""
    built = EnrolmentWorld(tmp_path)
    yield built
    built.close()


def lie(world: EnrolmentWorld, path: str, told: Callable[[Any], Any]) -> None:
    """Have the authority answer under a path with what `told` makes of its JSON."""

    def after(response: requests.Response) -> None:
        world.deliver()
        if path in (response.url or "") and response.ok and response.request.method != "HEAD":
            replace_body(response, json.dumps(told(response.json())).encode())

    world.adapter.after = after


def replace_body(response: requests.Response, body: bytes) -> None:
    """Put another body into an answer."""
    response._content = body
    response._content_consumed = True


def refuse(world: EnrolmentWorld, path: str, status: int, body: object, **headers: str) -> None:
    """Have the authority answer under a path with a problem, or with something worse."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()

    def after(response: requests.Response) -> None:
        if path in (response.url or ""):
            response.status_code = status
            response.headers["Content-Type"] = "application/problem+json"
            response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
            replace_body(response, sent)

    world.adapter.after = after


@pytest.mark.parametrize("of", ["another number", "another key", "another authority"])
def test_a_certificate_that_was_not_ordered_is_not_stored(world: EnrolmentWorld, of: str) -> None:
    """Whatever is wrong with the certificate, none is stored, and the next run orders anew."""
    issuer = make_issuer() if of == "another authority" else world.ca.issuer
    number = TelephoneNumber.parse("+12025550124") if of == "another number" else NUMBER
    leaf = issuer.sign_certificate(number, new_key().public_key(), make_issuance(start=world.hand.now()))

    def after(response: requests.Response) -> None:
        world.deliver()
        if "/acme/certificate/" in (response.url or ""):
            replace_body(response, issuer.chain_pem(leaf))

    world.adapter.after = after
    with pytest.raises(NotAsOrdered):
        world.enrolled()
    assert world.store.certificates() == []
    assert world.store.pending(world.address, NUMBER) is None


def test_an_order_for_another_number_is_refused(world: EnrolmentWorld) -> None:
    """The order must name just the number that was asked for."""
    lie(world, "/acme/new-order", lambda order: order | {"identifiers": order["identifiers"] * 2})
    with pytest.raises(Misbehaved, match="something else"):
        world.enrolled()


@pytest.mark.parametrize(
    ("path", "lied"),
    [
        ("/acme/index", {"newNonce": "http://127.0.0.1:8080/internal"}),
        ("/acme/index", {"newOrder": "file:///etc/passwd"}),
        ("/acme/index", {"newAccount": None}),
        ("/acme/new-order", {"authorizations": ["http://127.0.0.1/x"]}),
        ("/acme/new-order", {"authorizations": [{}]}),
        ("/acme/new-order", {"finalize": "http://ca.example/x"}),
    ],
)
def test_nothing_is_sent_in_the_clear(world: EnrolmentWorld, path: str, lied: dict[str, object]) -> None:
    """An authority on https cannot point its client to http, to a file or to nothing."""
    if "finalize" in lied:
        lie(world, "/acme/order/", lambda order: order | lied)
    else:
        lie(world, path, lambda told: told | lied)
    with pytest.raises(Misbehaved, match=r"missing or not https|not ACME"):
        world.enrolled()


def test_a_redirect_is_not_followed(world: EnrolmentWorld) -> None:
    """A signed request is for one URL (RFC 8555 §6.4): elsewhere is told, not gone to."""

    def after(response: requests.Response) -> None:
        response.status_code = 302
        response.headers["Location"] = "https://elsewhere.example/acme/index"

    world.adapter.after = after
    with pytest.raises(Misbehaved, match="elsewhere"):
        world.enrolled()
    assert len(world.adapter.requests) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"3", b"[" * 100_000, b"\xff", b'{"meta": []}'])
@pytest.mark.parametrize("path", ["/acme/index", "/acme/new-order", "/acme/order/"])
def test_what_is_no_acme_is_told(world: EnrolmentWorld, path: str, body: bytes) -> None:
    """Whatever JSON or HTML stands where an object should, the error is ours, and nothing is stored."""

    def after(response: requests.Response) -> None:
        world.deliver()
        if path in (response.url or ""):
            replace_body(response, body)

    world.adapter.after = after
    with pytest.raises(AcmeClientError):
        world.enrolled()
    assert world.store.certificates() == []


@pytest.mark.parametrize(
    "lied",
    [
        {"token": "short"},
        {"token": None},
        {"token": "AAAAAAAAAAAAAAAAAAAAAA\n"},
        {"codeLength": 400},
        {"codeLength": "8"},
        {"attemptsRemaining": []},
        {"nextSend": "tomorrow"},
        {"nextSend": "2026-01-15T12:00:00"},
        {"expires": 5},
        {"from": {"name": "x"}},
        {"status": "asleep"},
        {"status": "revoked"},
        {"status": "expired"},
    ],
)
def test_a_challenge_that_cannot_be_read_is_told(world: EnrolmentWorld, lied: dict[str, object]) -> None:
    """A challenge whose fields are not what they must be is refused before anybody is asked for a code."""
    lie(world, "/acme/challenge/", lambda challenge: challenge | lied)
    with pytest.raises(Misbehaved):
        world.enrolled()
    assert world.prompts == []


def test_what_an_authority_writes_cannot_speak_to_the_terminal(world: EnrolmentWorld) -> None:
    """Control characters, line breaks and writing-direction overrides are taken out of its words."""
    refuse(
        world,
        "/acme/new-order",
        403,
        {"type": "urn:ietf:params:acme:error:unauthorized", "detail": "no\x1b[2J\r\nno\u202eno\u2028" + "x" * 5000},
    )
    with pytest.raises(Refused) as refused:
        world.enrolled()
    text = str(refused.value)
    assert text.isprintable()
    assert len(text) < 600
    assert refused.value.kind == "unauthorized"


@pytest.mark.parametrize(
    "problem",
    [{}, {"type": 5, "detail": {"a": 1}}, {"type": "about:blank"}, {"title": "Nope"}, {"detail": None}],
)
def test_a_strange_problem_is_still_a_refusal(world: EnrolmentWorld, problem: dict[str, object]) -> None:
    """A problem document with odd or missing fields is told with what it has."""
    refuse(world, "/acme/new-order", 400, problem)
    with pytest.raises(Refused):
        world.enrolled()


def test_a_problem_does_not_carry_the_number_into_a_traceback(world: EnrolmentWorld) -> None:
    """An authority may put the identifier into its problem; the exception chain does not repeat it."""
    value = "MA-iDRYLMTIwMjU1NTAxMjM"
    refuse(
        world,
        "/acme/new-order",
        403,
        {
            "type": "urn:ietf:params:acme:error:rejectedIdentifier",
            "identifier": {"type": "TNAuthList", "value": value},
            "subproblems": [{"identifier": {"type": "TNAuthList", "value": value}}],
        },
    )
    with pytest.raises(Refused) as refused:
        world.enrolled()
    assert value not in f"{refused.value}{refused.value.__cause__}{refused.value.__cause__!r}"


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"[]", b"7"])
def test_a_broken_gateway_in_between_is_unreachable(world: EnrolmentWorld, body: bytes) -> None:
    """A 5xx without a problem says to try again later."""
    refuse(world, "/acme/index", 502, body)
    with pytest.raises((Unreachable, Misbehaved, Refused)):
        world.enrolled()


def test_nonces_that_are_always_refused_end(world: EnrolmentWorld) -> None:
    """A server that likes no nonce is told after a few tries."""
    refuse(world, "/acme/new-account", 400, {"type": "urn:ietf:params:acme:error:badNonce"})
    with pytest.raises(Refused) as refused:
        world.enrolled()
    assert refused.value.kind == "badNonce"
    assert world.asked(path="/acme/new-account") <= 10


def test_an_answer_without_a_nonce_is_told(world: EnrolmentWorld) -> None:
    """RFC 8555 §6.5: every answer to a POST carries a nonce; one that does not is not ACME."""

    def after(response: requests.Response) -> None:
        response.headers.pop("Replay-Nonce", None)

    world.adapter.after = after
    with pytest.raises(Misbehaved):
        world.enrolled()


@pytest.mark.parametrize("header", ["120", "Thu, 15 Jan 2026 12:02:00 GMT"])
def test_a_limit_says_when_in_either_form(world: EnrolmentWorld, header: str) -> None:
    """RFC 8555 §6.6: Retry-After in seconds or as a date becomes the time to come back."""
    refuse(world, "/acme/new-order", 429, {"type": "urn:ietf:params:acme:error:rateLimited"}, Retry_After=header)
    with pytest.raises(RateLimited) as limited:
        world.enrolled()
    assert limited.value.retry_at is not None
    assert (limited.value.retry_at - world.hand.now()).total_seconds() == 120


def test_an_order_that_never_ends_is_left_for_later(world: EnrolmentWorld) -> None:
    """A certificate that does not come within the time allowed leaves an order to come back to."""
    lie(world, "/finalize", lambda order: {**order, "status": "processing", "certificate": None})
    real = world.adapter.after

    def processing(response: requests.Response) -> None:
        real(response)
        if "/acme/order/" in (response.url or "") and response.json().get("status") == Status.VALID:
            replace_body(response, json.dumps(response.json() | {"status": "processing"}).encode())

    world.adapter.after = processing
    with pytest.raises(TookTooLong, match="run the command again later"):
        world.enrolled()
    assert max(world.hand.slept) <= 5
    world.adapter.after = lambda _: world.deliver()
    assert world.enrolled().number == NUMBER
    assert world.count("orders") == 1


def test_an_order_that_fails_says_why(world: EnrolmentWorld) -> None:
    """The authority's reason for giving an order up is told, and the next run starts a new one."""
    problem = {"type": "urn:ietf:params:acme:error:badCSR", "detail": "I did not like it"}
    lie(world, "/finalize", lambda order: order | {"status": "invalid", "error": problem})
    with pytest.raises(Refused, match="I did not like it") as refused:
        world.enrolled()
    assert refused.value.kind == "badCSR"


def test_an_authority_that_judges_later_is_waited_for(world: EnrolmentWorld) -> None:
    """Where an answer is still being judged, the client looks again instead of asking the person."""
    looks = []

    def slow(response: requests.Response) -> None:
        world.deliver()
        if "/acme/challenge/" in (response.url or "") and response.json()["status"] == "valid":
            looks.append(response)
            if len(looks) < 3:
                told = response.json() | {"status": "processing"}
                told.pop("validated", None)
                replace_body(response, json.dumps(told).encode())

    world.adapter.after = slow
    world.enrolled()
    assert len(looks) == 3
    assert len(world.prompts) == 1


def test_an_authority_that_counts_no_tries_is_still_understood(world: EnrolmentWorld) -> None:
    """Without `attemptsRemaining` the error of the challenge says that the answer was wrong."""
    lie(world, "/acme/challenge/", lambda told: told | {"attemptsRemaining": None})
    world.enrolled(codes=world.answering(lambda _: wrong(code_in(world.texts[0])), lambda _: code_in(world.texts[0])))
    assert world.prompts[1].notice is Notice.WRONG
    assert world.prompts[1].attempts_remaining is None


def test_a_resend_that_is_hours_away_is_not_slept_for(world: EnrolmentWorld) -> None:
    """Where another message would take very long, the prompt comes back and says so."""
    lie(world, "/acme/challenge/", lambda told: told | {"nextSend": "2026-01-15T20:00:00Z"})
    world.enrolled(codes=world.answering(RESEND, lambda _: code_in(world.texts[0])))
    assert world.prompts[1].notice is Notice.NOT_RESENT
    assert max(world.hand.slept, default=0) <= 5


def test_a_proof_that_was_closed_is_told(world: EnrolmentWorld) -> None:
    """An authorization that is over, though its order is not, cannot be proved."""
    lie(world, "/acme/authorization/", lambda told: told | {"status": "expired"})
    with pytest.raises(NotProved, match="expired"):
        world.enrolled()


def test_an_order_that_is_gone_gives_way_to_a_new_one(world: EnrolmentWorld) -> None:
    """Where the authority does not know the kept order any more, a new one is placed."""
    with pytest.raises(CodeNotGiven):
        world.enrolled(codes=world.answering(*["nonsense"] * 60))
    pending = world.store.pending(world.address, NUMBER)
    assert pending is not None
    gone = f"https://{world.host}/acme/order/{'A' * 22}"
    world.store.keep_pending(world.address, NUMBER, type(pending)(pending.created_at, pending.key_pem, gone))
    world.enrolled()
    assert world.count("orders") == 2


def test_a_refusal_to_show_an_order_is_told(world: EnrolmentWorld) -> None:
    """A refusal that does not mean that the order is gone does not throw it away."""
    with pytest.raises(CodeNotGiven):
        world.enrolled(codes=world.answering(*["nonsense"] * 60))
    refuse(world, "/acme/order/", 500, {"type": "urn:ietf:params:acme:error:serverInternal"})
    with pytest.raises(Refused):
        world.enrolled()
    world.adapter.after = lambda _: world.deliver()
    world.enrolled()
    assert world.count("orders") == 1


def test_an_account_without_a_url_is_told(world: EnrolmentWorld) -> None:
    """RFC 8555 §7.3: a new account has a Location."""

    def after(response: requests.Response) -> None:
        response.headers.pop("Location", None)

    world.adapter.after = after
    with pytest.raises(Misbehaved, match="does not say where"):
        world.enrolled()


def test_a_conflict_is_a_refusal(world: EnrolmentWorld) -> None:
    """HTTP status 409 is told as what it is."""
    refuse(world, "/acme/new-order", 409, {})
    with pytest.raises(Refused) as refused:
        world.enrolled()
    assert refused.value.kind == "conflict"


def test_a_tls_certificate_that_is_not_believed_is_told(world: EnrolmentWorld) -> None:
    """The way out, --ca-bundle, is in the message."""

    def before(_: requests.PreparedRequest) -> None:
        raise requests.exceptions.SSLError

    world.adapter.before = before
    with pytest.raises(Unreachable, match="--ca-bundle"):
        world.enrolled()


def test_a_revocation_that_is_refused_is_not_remembered(world: EnrolmentWorld) -> None:
    """Only what the authority has revoked is marked as revoked."""
    held = world.enrolled()
    refuse(world, "/acme/revoke-cert", 400, {"type": "urn:ietf:params:acme:error:badRevocationReason"})
    with pytest.raises(Refused):
        revoke_held(held, world.store, connection=world.connection, clock=world.clock)
    assert world.store.certificates() == [held]


def test_a_missing_challenge_is_told(world: EnrolmentWorld) -> None:
    """An authority that offers no SMS challenge cannot be answered."""
    other = {"type": "dns-01", "url": "https://ca.example/x", "token": "A" * 22, "status": "pending"}
    lie(world, "/acme/authorization/", lambda told: told | {"challenges": [other]})
    with pytest.raises(AcmeClientError, match="no challenge by SMS"):
        world.enrolled()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = st.sampled_from(
    [
        "authorizations",
        "certificate",
        "challenges",
        "codeLength",
        "delivery",
        "error",
        "expires",
        "finalize",
        "from",
        "host",
        "identifiers",
        "meta",
        "newAccount",
        "newNonce",
        "newOrder",
        "nextSend",
        "orders",
        "status",
        "token",
        "type",
        "url",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(field=_FIELDS, value=_JSON)
def test_any_lie_in_any_field_is_one_of_our_errors_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: object
) -> None:
    """Whatever an authority writes into a field, no foreign exception and no wrong certificate comes out."""
    world = EnrolmentWorld(tmp_path_factory.mktemp("lied"))

    def after(response: requests.Response) -> None:
        world.deliver()
        try:
            told = response.json()
        except ValueError:
            return
        if isinstance(told, dict) and field in told:
            replace_body(response, json.dumps(told | {field: value}).encode())

    world.adapter.after = after
    try:
        held = world.enrolled(codes=world.answering(*[lambda _: world.texts[-1] if world.texts else "x"] * 60))
    except AcmeClientError:
        assert world.store.certificates() == []
    else:
        assert held.number == NUMBER
    finally:
        world.close()


def test_a_response_of_the_fake_adapter_is_what_requests_makes() -> None:
    """The tests' own adapter gives real responses."""
    request = requests.Request("GET", "https://ca.example/").prepare()
    response = response_to(request, 200, {"Content-Type": "application/json"}, b"{}")
    assert response.json() == {}
