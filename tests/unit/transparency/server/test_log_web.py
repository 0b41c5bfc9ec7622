from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta

import falcon.testing
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stir.certificate_building import signature_hash
from tests.fakes.log_world import (
    NEXT_SHARD,
    NOW,
    NUMBER,
    OTHER_NUMBER,
    SHARD,
    Authority,
    SequencerThread,
    make_log,
    shard_of,
)
from transparency.owner_request import Action
from transparency.sct import SctExtensions, SignedCertificateTimestamp, issuer_key_hash, tbs_of
from transparency.server.config import LogConfig, Sequencing
from transparency.server.log import Log
from transparency.server.web import build_web

ADD = f"/{SHARD.name}/ct/v1/add-pre-chain"
OWNER = f"/{SHARD.name}/owner"


@pytest.fixture
def client(log: Log) -> falcon.testing.TestClient:
    """Return a client of the log's web application."""
    return falcon.testing.TestClient(build_web(log))


@pytest.fixture
def sequencing(log: Log) -> Iterator[None]:
    """Have a sequencer at work."""
    with SequencerThread(log), SequencerThread(log, NEXT_SHARD):
        yield


def submit(client: falcon.testing.TestClient, chain: list[bytes], path: str = ADD) -> falcon.testing.Result:
    """Submit a chain in DER."""
    return client.simulate_post(path, json={"chain": [base64.b64encode(one).decode() for one in chain]})


def refusal(result: falcon.testing.Result) -> tuple[int, str]:
    """Return the status and the name of a refusal, which must be a problem document."""
    assert result.headers["content-type"] == "application/problem+json"
    assert result.json["status"] == result.status_code
    assert result.json["detail"]
    return result.status_code, result.json["type"].partition("#")[2]


def ask(client: falcon.testing.TestClient, token: str, path: str = OWNER) -> falcon.testing.Result:
    """Ask at the owner's door."""
    return client.simulate_post(path, body=token, content_type="application/jose")


@pytest.mark.usefixtures("sequencing")
def test_an_admitted_authority_gets_an_sct(client: falcon.testing.TestClient, log: Log, authority: Authority) -> None:
    """The answer is an RFC 6962 SCT that verifies by the description of the shard: signature, label and commitment."""
    result = submit(client, authority.submission(1))
    assert result.status_code == 200
    sct = SignedCertificateTimestamp.from_response(result.json)
    certificate = authority.certificate(authority.fields(1))
    description = shard_of(log).describe()
    index, entry = description.check_sct(sct, NUMBER, issuer_key_hash(authority.issuing), tbs_of(certificate))
    kept = log.storage.entries.under_label(SHARD.name, entry.label, 10)
    assert [one.leaf_index for one in kept] == [index]


@pytest.mark.usefixtures("sequencing")
def test_the_same_precertificate_gets_the_same_sct(client: falcon.testing.TestClient, authority: Authority) -> None:
    """A second submission of one issuer and TBS, even signed anew, gets the first one's SCT, and no second entry."""
    first = submit(client, authority.submission(2)).json
    builder_signed_anew = authority.precertificate(authority.fields(2))
    assert submit(client, authority.chain(builder_signed_anew)).json == first
    assert submit(client, authority.submission(2)).json == first
    other = SignedCertificateTimestamp.from_response(submit(client, authority.submission(3)).json)
    index = SctExtensions.decode(SignedCertificateTimestamp.from_response(first).extensions).leaf_index
    assert SctExtensions.decode(other.extensions).leaf_index == index + 1


@pytest.mark.usefixtures("sequencing")
def test_the_chain_may_leave_out_what_the_log_knows(client: falcon.testing.TestClient, authority: Authority) -> None:
    """The admitted authority's certificate need not be sent, nor what stands above it."""
    assert submit(client, authority.submission(4)[:1]).status_code == 200


def test_a_precertificate_of_another_authority_is_refused(client: falcon.testing.TestClient) -> None:
    """An authority that the operator did not admit gets no SCT, though its certificates are in order."""
    stranger = Authority.make(first_key=50)
    assert refusal(submit(client, stranger.submission(1))) == (403, "issuerNotAdmitted")


def test_a_forged_precertificate_is_refused(client: falcon.testing.TestClient, authority: Authority) -> None:
    """A precertificate that names an admitted authority, and that another key signed, is refused."""
    der = bytearray(authority.submission(1)[0])
    der[-1] ^= 1
    status, name = refusal(submit(client, [bytes(der), *authority.submission(1)[1:]]))
    assert status in {400, 403}
    assert name in {"issuerNotAdmitted", "malformed"}


def test_an_authority_below_the_admitted_one_is_held_to_its_signature(config: LogConfig, authority: Authority) -> None:
    """Where a root is admitted, the issuing authority is known by the root's signature and by nothing else."""
    (config.folder / "admitted.pem").write_bytes(authority.root.public_bytes(Encoding.PEM))
    log = make_log(config)
    client = falcon.testing.TestClient(build_web(log))
    with SequencerThread(log):
        assert submit(client, authority.submission(1)).status_code == 200
        assert refusal(submit(client, authority.submission(2)[:1])) == (403, "issuerNotAdmitted")
        impostor = Authority.make(first_key=60)
        mixed = [impostor.submission(3)[0], impostor.submission(3)[1], authority.submission(3)[2]]
        assert refusal(submit(client, mixed)) == (403, "issuerNotAdmitted")
    log.storage.close()


def test_an_authority_is_held_to_its_numbers(config: LogConfig) -> None:
    """A precertificate for a number outside its authority's prefixes is refused, were it ever so well signed."""
    narrow, wide = Authority.make(first_key=70, prefixes=("+1202",)), Authority.make(first_key=70)
    (config.folder / "admitted.pem").write_bytes(narrow.issuing.public_bytes(Encoding.PEM))
    log = make_log(config)
    client = falcon.testing.TestClient(build_web(log))
    chain = wide.submission(1, OTHER_NUMBER)[:1]
    assert refusal(submit(client, chain)) == (400, "outsideProfile")
    with SequencerThread(log):
        assert submit(client, narrow.submission(1, NUMBER)).status_code == 200
    log.storage.close()


def test_a_certificate_is_no_precertificate(client: falcon.testing.TestClient, authority: Authority) -> None:
    """What has no critical poison is not taken: it would be in use already (RFC 6962 §3.1)."""
    chain = authority.chain(authority.certificate(authority.fields(1)))
    assert refusal(submit(client, chain)) == (400, "outsideProfile")


def test_a_precertificate_outside_the_profile_is_refused(
    client: falcon.testing.TestClient, authority: Authority
) -> None:
    """What would not be a number's certificate without its poison is refused."""
    good = authority.precertificate(authority.fields(1))
    builder = x509.CertificateBuilder(
        issuer_name=good.issuer,
        subject_name=good.subject,
        public_key=good.public_key(),
        serial_number=good.serial_number,
        not_valid_before=good.not_valid_before_utc,
        not_valid_after=good.not_valid_after_utc,
    )
    for extension in good.extensions:
        if extension.oid != x509.ExtensionOID.EXTENDED_KEY_USAGE:
            builder = builder.add_extension(extension.value, extension.critical)
    bad = builder.sign(authority.issuing_key, signature_hash(authority.issuing_key))
    assert refusal(submit(client, authority.chain(bad))) == (400, "outsideProfile")


def test_an_expired_precertificate_is_refused(config: LogConfig, authority: Authority) -> None:
    """What has expired is refused."""
    log = make_log(config, clock=lambda: NOW + timedelta(days=8))
    client = falcon.testing.TestClient(build_web(log))
    assert refusal(submit(client, authority.submission(1))) == (400, "certificateExpired")
    log.storage.close()


def test_what_is_valid_later_is_logged_and_opens_no_door_yet(config: LogConfig, authority: Authority) -> None:
    """RFC 6962 §3.1: logs may take certificates that are not yet valid, so that they are seen before they are used."""
    log = make_log(config, clock=lambda: NOW - timedelta(hours=2))
    client = falcon.testing.TestClient(build_web(log))
    with SequencerThread(log):
        assert submit(client, authority.submission(1)).status_code == 200
    token = authority.owner_request(authority.certificate(authority.fields(1)), at=NOW - timedelta(hours=2))
    answer = ask(client, token)
    assert refusal(answer) == (400, "certificateExpired")
    assert "not valid yet" in answer.json["detail"]
    log.storage.close()


@pytest.mark.usefixtures("sequencing")
def test_a_shard_takes_what_expires_in_its_span(client: falcon.testing.TestClient, authority: Authority) -> None:
    """A certificate that expires in the next shard's span is taken there, and refused here."""
    chain = authority.submission(1, life=timedelta(days=200))
    assert refusal(submit(client, chain)) == (400, "outsideShard")
    assert submit(client, chain, f"/{NEXT_SHARD.name}/ct/v1/add-pre-chain").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"chain": "x"}',
        b'{"chain": [1]}',
        b'{"chain": ["*"]}',
        b'{"chain": []}',
        b'{"chain": ["AA=="]}',
        b"\xff",
    ],
)
def test_broken_submissions_are_malformed(client: falcon.testing.TestClient, body: bytes) -> None:
    """Whatever is no chain in JSON is refused as malformed."""
    assert refusal(client.simulate_post(ADD, body=body)) == (400, "malformed")


def test_a_chain_that_is_too_long_is_refused(client: falcon.testing.TestClient, authority: Authority) -> None:
    """Neither eleven certificates nor megabytes are looked at."""
    assert refusal(submit(client, authority.submission(1)[:1] * 11)) == (400, "malformed")
    assert refusal(client.simulate_post(ADD, body=b"x" * 400_000)) == (413, "requestTooLarge")


def test_unknown_places_are_problems_too(client: falcon.testing.TestClient) -> None:
    """An unknown shard, file or method is refused with a document that says what there is."""
    assert refusal(submit(client, [], "/2031h1/ct/v1/add-pre-chain")) == (404, "notFound")
    assert refusal(client.simulate_get("/nowhere")) == (404, "notFound")
    assert refusal(client.simulate_get(f"/{SHARD.name}/tile/0/000")) == (404, "notFound")
    assert refusal(client.simulate_get(ADD)) == (405, "methodNotAllowed")


@pytest.mark.parametrize(
    "path", ["../log.db", "..%2Flog.db", "tile/../../../log.db", "%2Fetc/passwd", "tile//0", ".draft"]
)
def test_files_outside_are_not_served(client: falcon.testing.TestClient, path: str) -> None:
    """No path leads out of the folder of published files."""
    assert client.simulate_get(f"/{SHARD.name}/{path}").status_code == 404


def test_without_a_sequencer_submissions_are_told_to_come_again(config: LogConfig, authority: Authority) -> None:
    """What has no place in time stays queued, once, and is found when the same request comes again."""
    waits = Sequencing(pool_milliseconds=20, wait_seconds=1, longest_queue=2)
    log = make_log(msgspec.structs.replace(config, sequencing=waits))
    client = falcon.testing.TestClient(build_web(log))
    result = submit(client, authority.submission(1))
    assert refusal(result) == (503, "logBusy")
    assert int(result.headers["retry-after"]) > 0
    with SequencerThread(log):
        assert submit(client, authority.submission(1)).status_code == 200
    for serial in (2, 3):
        submit(client, authority.submission(serial))
    assert log.storage.entries.queue_length(SHARD.name) == 2
    assert refusal(submit(client, authority.submission(4))) == (503, "logBusy")
    assert log.storage.entries.queue_length(SHARD.name) == 2
    log.storage.close()


def test_roots_and_description_are_told(client: falcon.testing.TestClient, log: Log, authority: Authority) -> None:
    """Anybody can ask which authorities are admitted (RFC 6962 §4.7), and get log.json."""
    roots = client.simulate_get(f"/{SHARD.name}/ct/v1/get-roots").json["certificates"]
    assert [base64.b64decode(root) for root in roots] == [authority.issuing.public_bytes(Encoding.DER)]
    assert client.simulate_get("/log.json").content == log.describe().to_json()
    assert client.simulate_get("/health").json == {"status": "ok"}


@pytest.mark.usefixtures("sequencing")
def test_files_are_served_for_caches(client: falcon.testing.TestClient, authority: Authority) -> None:
    """Tiles are for good, the checkpoint for a moment, each with the type that tlog-tiles asks for."""
    submit(client, authority.submission(1))
    tile = client.simulate_get(f"/{SHARD.name}/tile/0/000.p/1")
    assert tile.headers["content-type"] == "application/octet-stream"
    assert "immutable" in tile.headers["cache-control"]
    assert len(tile.content) == 32
    checkpoint = client.simulate_get(f"/{SHARD.name}/checkpoint")
    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint.headers["cache-control"] == "public, max-age=1"
    assert checkpoint.headers["access-control-allow-origin"] == "*"


@pytest.fixture
def segment(log: Log, client: falcon.testing.TestClient) -> str:
    """Return the path of a segment of the label index, which has 256 bytes."""
    del client
    path = f"{SHARD.name}/index/segment/0123456789abcdef"
    log.publisher.write({path: bytes(range(256))})
    return f"/{path}"


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=250-", 250, 255),
        ("bytes=250-9999", 250, 255),
        ("bytes=-6", 250, 255),
        ("bytes=-9999", 0, 255),
    ],
)
def test_a_part_of_a_segment_is_served(
    client: falcon.testing.TestClient, segment: str, wanted: str, first: int, last: int
) -> None:
    """A watcher gets the bytes of its bucket and no others (RFC 9110 §14)."""
    answer = client.simulate_get(segment, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (206, bytes(range(first, last + 1)))
    assert answer.headers["content-range"] == f"bytes {first}-{last}/256"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("wanted", ["", "bytes=", "bytes=-", "bytes=9-8", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b"])
def test_a_range_that_is_none_is_passed_over(client: falcon.testing.TestClient, segment: str, wanted: str) -> None:
    """Who asks in another way, or for several parts, gets the whole file (RFC 9110 §14.2)."""
    answer = client.simulate_get(segment, headers={"Range": wanted})
    assert (answer.status_code, len(answer.content)) == (200, 256)
    assert answer.headers["accept-ranges"] == "bytes"


def test_a_range_counts_for_a_get_without_conditions_only(client: falcon.testing.TestClient, segment: str) -> None:
    """HEAD tells the whole, and so does a condition that nothing here can meet (RFC 9110 §13.1.5, §14.2)."""
    for answer in (
        client.simulate_head(segment, headers={"Range": "bytes=0-1"}),
        client.simulate_get(segment, headers={"Range": "bytes=0-1", "If-Range": '"any"'}),
    ):
        assert (answer.status_code, answer.headers["content-length"]) == (200, "256")


ranges = st.builds(
    lambda first, last: f"bytes={first}-{last}", *[st.just("") | st.integers(0, 300) | st.integers(0)] * 2
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=ranges | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30))
def test_any_range_gives_the_bytes_it_says(client: falcon.testing.TestClient, segment: str, wanted: str) -> None:
    """Whatever is asked for, the answer is the whole, a part that is what it says it is, or that there is none."""
    answer = client.simulate_get(segment, headers={"Range": wanted})
    if answer.status_code == 206:
        first, last = map(int, answer.headers["content-range"].removesuffix("/256").removeprefix("bytes ").split("-"))
        assert answer.content == bytes(range(256))[first : last + 1]
        assert len(answer.content) == last - first + 1
    else:
        assert answer.status_code in {200, 416}
        assert answer.status_code == 416 or answer.content == bytes(range(256))


@pytest.mark.parametrize("wanted", ["bytes=256-", "bytes=256-300", "bytes=-0"])
def test_a_part_beyond_the_end_is_refused(client: falcon.testing.TestClient, segment: str, wanted: str) -> None:
    """Where a file has nothing of what is asked for, its length is told (RFC 9110 §15.5.17)."""
    answer = client.simulate_get(segment, headers={"Range": wanted})
    assert refusal(answer) == (416, "malformed")
    assert answer.headers["content-range"] == "bytes */256"


def test_only_segments_come_in_parts(client: falcon.testing.TestClient, log: Log, segment: str) -> None:
    """Other files are small; and of a segment that is not there, there is no part."""
    log.publisher.write({f"{SHARD.name}/tile/0/000": bytes(8192)})
    assert client.simulate_get(f"/{SHARD.name}/tile/0/000", headers={"Range": "bytes=0-1"}).status_code == 200
    missing = client.simulate_get(segment.replace("0", "f"), headers={"Range": "bytes=0-1"})
    assert refusal(missing) == (404, "notFound")


# The owner's door


@pytest.mark.usefixtures("sequencing")
def test_an_owner_sees_every_certificate_of_the_number(
    client: falcon.testing.TestClient, log: Log, authority: Authority
) -> None:
    """With a logged certificate the owner gets label, proof, and all certificates with issuers and openings."""
    for serial in (1, 2):
        submit(client, authority.submission(serial))
    submit(client, authority.submission(3, OTHER_NUMBER))
    answer = ask(client, authority.owner_request(authority.certificate(authority.fields(1)))).json
    described = shard_of(log).describe()
    from transparency.entry import label, vrf_input  # noqa: PLC0415 - what a client does with the answer

    beta = described.vrf_key.verify(vrf_input(described.origin, NUMBER), base64.b64decode(answer["vrf_proof"]))
    assert base64.b64decode(answer["label"]) == label(beta)
    serials = {
        x509.load_der_x509_certificate(base64.b64decode(one["certificate"])).serial_number for one in answer["entries"]
    }
    assert serials == {1, 2}
    assert all(len(base64.b64decode(one["opening"])) == 16 for one in answer["entries"])
    assert base64.b64decode(answer["entries"][0]["chain"][0]) == authority.issuing.public_bytes(Encoding.DER)
    assert answer["complete"] is True
    assert client.simulate_get(OWNER).status_code == 405


@pytest.mark.usefixtures("sequencing")
def test_who_opens_the_door_leaves_an_entry(client: falcon.testing.TestClient, authority: Authority) -> None:
    """A certificate that was never logged is put into the log before anything is told to its holder."""
    answer = ask(client, authority.owner_request(authority.certificate(authority.fields(9)))).json
    assert [one["leaf_index"] for one in answer["entries"]] == [0]
    tile = client.simulate_get(f"/{SHARD.name}/tile/entries/000.p/1")
    assert tile.status_code == 200


@pytest.mark.usefixtures("sequencing")
def test_a_request_is_answered_once(client: falcon.testing.TestClient, authority: Authority) -> None:
    """Whoever caught a request cannot use it again."""
    certificate = authority.certificate(authority.fields(1))
    token = authority.owner_request(certificate)
    assert ask(client, token).status_code == 200
    assert refusal(ask(client, token)) == (401, "unauthorized")
    assert ask(client, authority.owner_request(certificate, request_id="another-request-of-mine")).status_code == 200


@pytest.mark.parametrize("seconds", [-61, 61, 10**6])
def test_an_old_request_is_refused(client: falcon.testing.TestClient, authority: Authority, seconds: int) -> None:
    """A request is good for a minute before and behind its time."""
    token = authority.owner_request(authority.certificate(authority.fields(1)), at=NOW + timedelta(seconds=seconds))
    assert refusal(ask(client, token)) == (401, "unauthorized")


def test_a_request_for_another_place_is_refused(client: falcon.testing.TestClient, authority: Authority) -> None:
    """What was signed for another log or shard opens nothing here."""
    certificate = authority.certificate(authority.fields(1))
    for audience in ("https://other.example/2026h2", "http://127.0.0.1:14100/2027h1"):
        token = authority.owner_request(certificate, audience=audience)
        assert refusal(ask(client, token)) == (401, "unauthorized")


def test_a_request_by_another_key_is_refused(client: falcon.testing.TestClient, log: Log, authority: Authority) -> None:
    """To know the owner's certificate is not to have its key; and nothing is logged for that."""
    certificate = authority.certificate(authority.fields(1))
    assert refusal(ask(client, authority.owner_request(certificate, holder=91))) == (401, "unauthorized")
    assert log.storage.entries.queue_length(SHARD.name) == 0


def test_a_stranger_is_no_owner(client: falcon.testing.TestClient) -> None:
    """A certificate of an authority that is not admitted opens nothing: the log is no oracle."""
    stranger = Authority.make(first_key=50)
    token = stranger.owner_request(stranger.certificate(stranger.fields(1)))
    assert refusal(ask(client, token)) == (403, "issuerNotAdmitted")


def test_a_broken_request_is_malformed(client: falcon.testing.TestClient) -> None:
    """Whatever is no JWS of ours is refused as malformed."""
    for token in ("", "a.b.c", "\xff", "e30.e30." + "A" * 86):
        assert refusal(ask(client, token)) == (400, "malformed")


def test_an_owner_erases_what_has_expired(config: LogConfig, authority: Authority) -> None:
    """An owner's wish erases the expired; what is valid is evidence and stays; the tree keeps all leaves."""
    now = NOW
    log = make_log(config, clock=lambda: now)
    client = falcon.testing.TestClient(build_web(log))
    with SequencerThread(log):
        for serial, days in ((1, 1), (2, 30)):
            submit(client, authority.submission(serial, life=timedelta(days=days)))
        now = NOW + timedelta(days=2)
        certificate = authority.certificate(authority.fields(2, life=timedelta(days=30)))
        token = authority.owner_request(certificate, at=now, action=Action.ERASE)
        answer = ask(client, token).json
    assert answer["erased"] == 1
    assert [one["leaf_index"] for one in answer["entries"]] == [1]
    assert client.simulate_get(f"/{SHARD.name}/tile/0/000.p/2").status_code == 200
    log.storage.close()


def test_no_answer_names_a_number(client: falcon.testing.TestClient, authority: Authority) -> None:
    """Refusals hold no telephone number, whatever was wrong."""
    stranger = Authority.make(first_key=50)
    said = [
        submit(client, stranger.submission(1)).text,
        submit(client, authority.chain(authority.certificate(authority.fields(1)))).text,
        submit(client, authority.submission(1, life=timedelta(days=200))).text,
    ]
    assert not any(NUMBER.digits in text for text in said)
    assert all(json.loads(text) for text in said)


def test_a_peer_that_is_no_proxy_is_refused(config: LogConfig) -> None:
    """Where plain HTTP is for the proxies only, others are sent to the public URL."""
    server = msgspec.structs.replace(config.server, trusted_proxies=("10.0.0.5",))
    log = make_log(msgspec.structs.replace(config, server=server))
    client = falcon.testing.TestClient(build_web(log))
    assert refusal(client.simulate_get("/health")) == (401, "unauthorized")
    assert client.simulate_get("/health", remote_addr="10.0.0.5").status_code == 200
    log.storage.close()


def test_something_unforeseen_is_told_by_a_name_only(
    client: falcon.testing.TestClient, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of ours is an incident with a name for the operator's log, and nothing of what went wrong."""

    def fail() -> None:
        msg = "a secret"
        raise RuntimeError(msg)

    monkeypatch.setattr(type(log.storage), "ping", lambda _self: fail())
    result = client.simulate_get("/health")
    assert refusal(result) == (500, "serverInternal")
    assert "incident" in result.json["detail"]
    assert "secret" not in result.text
