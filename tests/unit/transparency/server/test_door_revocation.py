"""The owner's door and revocation lists: what an authority took back opens nothing (RFC 5280 §6.3)."""

from __future__ import annotations

import dataclasses
import http.server
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import falcon.testing
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from policies.facts import RevocationFacts, RevocationState
from stir.certificate import AuthorityCertificate
from stir.certificate_building import AuthorityFields, authority_certificate, signature_hash
from tests.fakes.log_world import NOW, SHARD, Authority, SequencerThread, key, make_config, make_log
from transparency.server.config import LogConfig, Owner
from transparency.server.log import Log
from transparency.server.revocation import FOLDER, revocation_lists
from transparency.server.web import build_web
from trust_store.errors import FetchError
from trust_store.revocation_lists import RevocationLists

OWNER = f"/{SHARD.name}/owner"
SERIAL = 7
LIST_URL = "https://ca.example/crl/0.crl"


def crl_of(authority: Authority, *revoked: int) -> bytes:
    """Return the authority's list of these serial numbers, good for a day."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.issuing.subject)
        .last_update(NOW - timedelta(minutes=1))
        .next_update(NOW + timedelta(days=1))
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(authority.issuing_key, signature_hash(authority.issuing_key)).public_bytes(Encoding.DER)


class Lists:
    """A network in which one list can be fetched, or nothing."""

    def __init__(self, folder: Path) -> None:
        """Serve nothing yet."""
        self.served: bytes | None = None
        self.asked: list[str] = []
        self.source = RevocationLists(folder, self.fetch)

    def fetch(self, url: str) -> bytes:
        """Return the list."""
        self.asked.append(url)
        if self.served is None:
            msg = "ca.example could not be asked"
            raise FetchError(msg)
        return self.served


@pytest.fixture
def lists(tmp_path: Path) -> Lists:
    """Return the lists that the log fetches."""
    return Lists(tmp_path / "lists")


def opened(config: LogConfig, lists: Lists) -> Log:
    """Return a log that asks for those lists."""
    return make_log(config, revocation=lists.source)


def knock(log: Log, authority: Authority, request_id: str = "a-request-of-the-owner") -> falcon.testing.Result:
    """Knock at the door with the number's certificate."""
    certificate = authority.certificate(authority.fields(SERIAL))
    token = authority.owner_request(certificate, request_id=request_id)
    client = falcon.testing.TestClient(build_web(log))
    return client.simulate_post(OWNER, body=token, content_type="application/jose")


def test_a_revoked_certificate_opens_nothing(config: LogConfig, authority: Authority, lists: Lists) -> None:
    """It is refused before anything is logged or told; the list was asked for where the certificate says."""
    lists.served = crl_of(authority, SERIAL)
    log = opened(config, lists)
    answer = knock(log, authority)
    assert answer.status_code == 401
    assert answer.json["type"].endswith("#unauthorized")
    assert "revoked" in answer.json["detail"]
    assert lists.asked == [LIST_URL]
    assert log.storage.entries.queue_length(SHARD.name) == 0
    log.storage.close()


def test_one_that_is_not_on_the_list_opens_the_door(config: LogConfig, authority: Authority, lists: Lists) -> None:
    """And the list is asked for once, for all who knock in the next minutes."""
    lists.served = crl_of(authority, SERIAL + 1)
    log = opened(config, lists)
    with SequencerThread(log):
        assert knock(log, authority).status_code == 200
        assert knock(log, authority, "another-request-of-mine").status_code == 200
    assert len(lists.asked) == 1
    log.storage.close()


def test_without_a_list_the_door_stays_shut_for_now(config: LogConfig, authority: Authority, lists: Lists) -> None:
    """Whoever could keep the log from the list would else keep a revoked certificate good."""
    log = opened(config, lists)
    answer = knock(log, authority)
    assert answer.status_code == 503
    assert answer.json["type"].endswith("#logBusy")
    assert int(answer.headers["retry-after"]) == 300
    log.storage.close()


def test_an_operator_may_open_it_where_no_list_can_be_had(
    config: LogConfig, authority: Authority, lists: Lists
) -> None:
    """What is known to be revoked stays out all the same."""
    log = opened(msgspec.structs.replace(config, owner=Owner("when-available")), lists)
    with SequencerThread(log):
        assert knock(log, authority).status_code == 200
    log.storage.close()
    lists = Lists(config.folder / "other-lists")
    lists.served = crl_of(authority, SERIAL)
    log = opened(msgspec.structs.replace(config, owner=Owner("when-available")), lists)
    assert knock(log, authority, "another-request-of-mine").status_code == 401
    log.storage.close()


def test_an_authority_that_was_revoked_opens_nothing_for_its_numbers(tmp_path: Path, authority: Authority) -> None:
    """RFC 5280 §6.1.3 (a)(3): below the admitted root, each authority that names a list is looked up in it too."""
    issuing = AuthorityCertificate.read(authority.issuing)
    fields = AuthorityFields(
        common_name=issuing.common_name,
        organization=issuing.organization,
        public_key=authority.issuing_key.public_key(),
        serial=authority.issuing.serial_number,
        not_before=issuing.not_before,
        not_after=issuing.not_after,
        path_length=0,
        ca_issuers_url="https://ca.example/root.der",
        crl_url="https://ca.example/root.crl",
    )
    root_key = key(1)
    listed = authority_certificate(fields, authority.root).sign(root_key, signature_hash(root_key))
    below = dataclasses.replace(authority, issuing=listed)
    config = make_config(tmp_path / "log", dataclasses.replace(authority, issuing=authority.root))
    asked: list[tuple[str, ...]] = []

    class Lists:
        """Knows the number's certificate to be good, and its authority's to be revoked."""

        def status(
            self, certificate: x509.Certificate, issuer: x509.Certificate, urls: tuple[str, ...], at: datetime
        ) -> RevocationFacts:
            """Answer."""
            asked.append(urls)
            assert certificate.issuer == issuer.subject
            state = RevocationState.REVOKED if certificate == listed else RevocationState.GOOD
            return RevocationFacts(state, "so it is said", at)

    log = make_log(config, revocation=Lists())
    assert knock(log, below).status_code == 401
    assert asked == [(LIST_URL,), ("https://ca.example/root.crl",)]
    log.storage.close()


def test_a_list_that_somebody_else_signed_is_none(config: LogConfig, authority: Authority, lists: Lists) -> None:
    """RFC 5280 §6.3.3: a list is its issuer's, or it says nothing."""
    lists.served = crl_of(Authority.make(first_key=60))
    log = opened(config, lists)
    assert knock(log, authority).status_code == 503
    log.storage.close()


def test_only_the_holder_of_the_certificate_makes_the_log_ask(
    config: LogConfig, authority: Authority, lists: Lists
) -> None:
    """A request by another key, or of an authority that is not admitted, makes it ask nobody."""
    log = opened(config, lists)
    client = falcon.testing.TestClient(build_web(log))
    stranger = Authority.make(first_key=50)
    for token in (
        authority.owner_request(authority.certificate(authority.fields(SERIAL)), holder=91),
        stranger.owner_request(stranger.certificate(stranger.fields(SERIAL))),
    ):
        assert client.simulate_post(OWNER, body=token).status_code in {401, 403}
    assert lists.asked == []
    log.storage.close()


@pytest.fixture
def local_list(authority: Authority) -> Iterator[tuple[str, list[str]]]:
    """Serve a list on this machine, and yield its URL and what was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with the list."""
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(crl_of(authority))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/0.crl", asked
        server.shutdown()


@pytest.mark.parametrize(("url", "asks"), [("http://127.0.0.1:14100", True), ("https://log.example", False)])
def test_an_authority_does_not_make_a_public_log_ask_its_own_machine(
    tmp_path: Path, authority: Authority, local_list: tuple[str, list[str]], url: str, asks: bool
) -> None:
    """A URL in a certificate leads to no server on the log's own machine, but for a log that is tried out there."""
    list_url, asked = local_list
    config = make_config(tmp_path / "log", authority, url=url)
    leaf = authority.certificate(authority.fields(SERIAL))
    revocation_lists(config).status(leaf, authority.issuing, (list_url,), NOW)
    assert bool(asked) is asks
    assert (config.folder / FOLDER).exists() is asks
    assert key(90).public_key() == leaf.public_key()
