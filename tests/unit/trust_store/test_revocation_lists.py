from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import RevocationFacts, RevocationState
from tests.fakes import small_pki
from tests.fakes.small_crl import ISSUER, LEAF, OTHER_URL, SERIAL, Server, crl, scope
from tests.fakes.small_pki import CRL_URL, NOW
from trust_store.errors import FetchError
from trust_store.revocation_lists import RevocationList, RevocationLists, UnusableList


def says(lists: RevocationLists, at: datetime = NOW, *urls: str) -> RevocationFacts:
    """Return what the lists say of the number's certificate."""
    return lists.status(LEAF, ISSUER, urls or (CRL_URL,), at)


# What a list means.


def test_a_certificate_that_is_not_on_the_list_is_good() -> None:
    """RFC 5280 §6.3.3."""
    facts = RevocationList.read(crl(7, 8), CRL_URL, ISSUER).on(LEAF, NOW)
    assert (facts.state, facts.as_of) == (RevocationState.GOOD, NOW - timedelta(minutes=30))
    assert facts.reason == "the certificate is not on its authority's revocation list as of 2026-06-01 11:30 UTC"


def test_a_certificate_on_the_list_is_revoked_and_the_reason_is_told() -> None:
    """The day and the reason help the person who asks."""
    data = crl(7, SERIAL, reason=x509.ReasonFlags.key_compromise)
    facts = RevocationList.read(data, CRL_URL, ISSUER).on(LEAF, NOW)
    assert facts.state is RevocationState.REVOKED
    assert facts.reason == "the certificate was revoked on 2026-06-01 11:00 UTC (keyCompromise)"


def test_a_revocation_without_a_reason_is_one() -> None:
    """RFC 5280 §5.3.1: the reason may be left out."""
    facts = RevocationList.read(crl(SERIAL), CRL_URL, ISSUER).on(LEAF, NOW)
    assert facts.reason == "the certificate was revoked on 2026-06-01 11:00 UTC"


def test_a_list_that_is_out_of_date_says_nothing_but_what_it_revoked() -> None:
    """A revocation stands; silence does not."""
    old = {"this_update": NOW - timedelta(days=3), "life": timedelta(days=1)}
    silent = RevocationList.read(crl(**old), CRL_URL, ISSUER).on(LEAF, NOW)
    assert silent.state is RevocationState.UNKNOWN
    assert "out of date since 2026-05-30" in silent.reason
    assert RevocationList.read(crl(SERIAL, **old), CRL_URL, ISSUER).on(LEAF, NOW).state is RevocationState.REVOKED


def test_a_list_from_later_says_nothing_of_now() -> None:
    """Small differences of clocks do not count."""
    found = RevocationList.read(crl(this_update=NOW), CRL_URL, ISSUER)
    assert found.on(LEAF, NOW - timedelta(minutes=4)).state is RevocationState.GOOD
    assert found.on(LEAF, NOW - timedelta(minutes=6)).state is RevocationState.UNKNOWN


def test_a_list_without_a_scope_is_its_issuers_whole_word() -> None:
    """RFC 5280 §5.2.5: a CRL without the extension covers all certificates of its issuer."""
    found = RevocationList.read(crl(distribution=None), CRL_URL, ISSUER)
    assert found.on(LEAF, NOW).state is RevocationState.GOOD
    assert found.speaks_for(ISSUER)


@pytest.mark.parametrize(
    ("parts", "numbers", "authorities"),
    [
        ({}, True, False),
        ({"only_contains_user_certs": False}, True, True),
        ({"only_contains_user_certs": False, "only_contains_ca_certs": True}, False, True),
    ],
)
def test_a_list_speaks_for_the_kind_of_certificates_that_it_says(
    parts: dict[str, object], numbers: bool, authorities: bool
) -> None:
    """RFC 5280 §6.3.3 (b)(2): a list for users' certificates says nothing of an authority's, and the other way."""
    found = RevocationList.read(crl(distribution=scope(**parts)), CRL_URL, ISSUER)
    assert (found.speaks_for(LEAF), found.speaks_for(ISSUER)) == (numbers, authorities)
    assert (found.on(LEAF, NOW).state is RevocationState.GOOD) == numbers


IMPOSTOR = small_pki.root(key_number=40).authority("Example Issuing", key_number=41)
UNUSABLE = {
    "another key": crl(signer=IMPOSTOR),
    "another name": crl(issuer=IMPOSTOR.above[0].subject),
    "another shard": crl(distribution=scope(OTHER_URL)),
    "no name": crl(distribution=scope(None)),
    "indirect": crl(distribution=scope(indirect_crl=True)),
    "attributes": crl(distribution=scope(only_contains_user_certs=False, only_contains_attribute_certs=True)),
    "some reasons": crl(distribution=scope(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}))),
    "delta": crl(extra=(x509.DeltaCRLIndicator(1), True)),
    "unknown critical": crl(extra=(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)),
    "empty": b"",
    "garbage": b"<html>not found</html>",
    "cut": crl()[:-1],
    "longer": crl() + b"\0",
    "certificate": LEAF.public_bytes(Encoding.DER),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_list_that_is_not_this_authoritys_for_this_place_is_not_used(what: str) -> None:
    """RFC 5280 §6.3.3: wrong key, name, place, scope, or a critical extension that is not understood."""
    with pytest.raises(UnusableList):
        RevocationList.read(UNUSABLE[what], CRL_URL, ISSUER)


def test_a_list_that_names_no_next_one_is_not_used() -> None:
    """RFC 5280 §5.1.2.5: nextUpdate is required; without it a list would be good for ever."""

    class WithoutNext:
        issuer = ISSUER.subject
        extensions = x509.Extensions([])
        next_update_utc = None

        def is_signature_valid(self, _key: object) -> bool:
            return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(x509, "load_der_x509_crl", lambda _data: WithoutNext())
        with pytest.raises(UnusableList, match="when the next one comes"):
            RevocationList.read(b"", CRL_URL, ISSUER)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_or_unusable(data: bytes) -> None:
    """Nothing that a server sends makes another error."""
    with pytest.raises(UnusableList):
        RevocationList.read(data, CRL_URL, ISSUER)


@given(position=st.integers(0, 400), value=st.integers(0, 255))
def test_a_changed_list_is_unusable(position: int, value: int) -> None:
    """Each byte of a list is under its signature, or makes it no list."""
    data = bytearray(SAMPLE)
    changed = data[position % len(data)] != value
    data[position % len(data)] = value
    if changed:
        with pytest.raises(UnusableList):
            RevocationList.read(bytes(data), CRL_URL, ISSUER)


SAMPLE = crl(7, SERIAL, reason=x509.ReasonFlags.superseded)


# Keeping and fetching.


def test_without_a_list_and_without_a_way_to_fetch_nothing_is_known(tmp_path: Path) -> None:
    """Offline, with an empty cache."""
    facts = says(RevocationLists(tmp_path))
    assert facts == RevocationFacts(RevocationState.UNKNOWN, "its revocation list is not at hand")


def test_a_certificate_that_names_no_list_is_unknown(tmp_path: Path) -> None:
    """There is nobody to ask."""
    facts = RevocationLists(tmp_path).status(LEAF, ISSUER, (), NOW)
    assert facts.state is RevocationState.UNKNOWN


def test_a_list_is_fetched_kept_and_used_offline(tmp_path: Path) -> None:
    """The next process, without a network, knows what this one learned."""
    server = Server(document=crl(SERIAL))
    assert says(RevocationLists(tmp_path / "lists", server)).state is RevocationState.REVOKED
    assert says(RevocationLists(tmp_path / "lists")).state is RevocationState.REVOKED
    assert server.asked == [CRL_URL]


def test_a_list_of_these_five_minutes_is_not_asked_for_again(tmp_path: Path) -> None:
    """Neither by this process nor by the next, which finds it in the folder."""
    server = Server(document=crl(this_update=NOW))
    for _ in range(2):
        lists = RevocationLists(tmp_path, server)
        for minutes in range(5):
            assert says(lists, NOW + timedelta(minutes=minutes)).state is RevocationState.GOOD
    assert len(server.asked) == 1


def test_a_revocation_is_known_after_five_minutes(tmp_path: Path) -> None:
    """An authority signs a new list with each revocation, and caches may hide it for no longer than that."""
    server = Server(document=crl(this_update=NOW))
    lists = RevocationLists(tmp_path, server)
    assert says(lists, NOW + timedelta(minutes=1)).state is RevocationState.GOOD
    server.document = crl(SERIAL, this_update=NOW + timedelta(minutes=2))
    assert says(lists, NOW + timedelta(minutes=6)).state is RevocationState.REVOKED
    assert len(server.asked) == 2


def test_a_server_that_has_nothing_newer_is_left_alone_for_a_while(tmp_path: Path) -> None:
    """Each call does not ask again; after five minutes one does."""
    server = Server(document=crl(this_update=NOW - timedelta(hours=2)))
    lists = RevocationLists(tmp_path, server)
    for seconds in (0, 10, 299, 301):
        assert says(lists, NOW + timedelta(seconds=seconds)).state is RevocationState.GOOD
    assert len(server.asked) == 2


@pytest.mark.parametrize("document", [None, b"<html>", crl(signer=IMPOSTOR)])
def test_a_server_that_fails_leaves_the_list_at_hand_in_use(tmp_path: Path, document: bytes | None) -> None:
    """A list that is still good counts, though a newer one could not be had."""
    server = Server(document=crl(SERIAL, this_update=NOW - timedelta(hours=2)))
    says(RevocationLists(tmp_path, server))
    server.document = document
    assert says(RevocationLists(tmp_path, server)).state is RevocationState.REVOKED
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("document", "told"), [(None, "ca.example could not be asked"), (b"<html>", "is no revocation list")]
)
def test_why_a_list_could_not_be_had_is_told(tmp_path: Path, document: bytes | None, told: str) -> None:
    """The user sees whose fault it is."""
    server = Server() if document is None else Server(document=document)
    lists = RevocationLists(tmp_path, server)
    facts = says(lists)
    assert facts.state is RevocationState.UNKNOWN
    assert facts.reason.startswith("its revocation list could not be had: ")
    assert told in facts.reason
    assert list(tmp_path.iterdir()) == []


def test_an_older_list_does_not_undo_a_revocation(tmp_path: Path) -> None:
    """Whoever replays yesterday's list, still good by its dates, achieves nothing."""
    server = Server(document=crl(SERIAL, this_update=NOW - timedelta(hours=2)))
    says(RevocationLists(tmp_path, server))
    server.document = crl(this_update=NOW - timedelta(hours=3))
    assert says(RevocationLists(tmp_path, server)).state is RevocationState.REVOKED
    assert says(RevocationLists(tmp_path)).state is RevocationState.REVOKED


def test_another_place_is_tried_where_the_first_fails(tmp_path: Path) -> None:
    """RFC 5280 §4.2.1.13: several distribution points name the same list."""

    def server(url: str) -> bytes:
        if url == CRL_URL:
            msg = "down"
            raise FetchError(msg)
        return crl(SERIAL, distribution=scope(OTHER_URL))

    assert says(RevocationLists(tmp_path, server), NOW, CRL_URL, OTHER_URL).state is RevocationState.REVOKED


def test_a_list_is_kept_in_memory_where_the_folder_cannot_be_written(tmp_path: Path) -> None:
    """A cache that fails costs requests, not verdicts."""
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    server = Server(document=crl())
    lists = RevocationLists(blocked, server)
    for _ in range(3):
        assert says(lists).state is RevocationState.GOOD
    assert len(server.asked) == 1


def test_a_list_that_another_process_fetched_is_seen(tmp_path: Path) -> None:
    """The folder is looked at again when its file has changed."""
    lists = RevocationLists(tmp_path)
    says(RevocationLists(tmp_path, Server(document=crl(this_update=NOW - timedelta(hours=2)))))
    assert says(lists).state is RevocationState.GOOD
    says(RevocationLists(tmp_path, Server(document=crl(SERIAL))))
    assert says(lists).state is RevocationState.REVOKED


def test_a_damaged_file_is_no_list(tmp_path: Path) -> None:
    """The cache is not trusted: what it holds is verified like what comes from the network."""
    says(RevocationLists(tmp_path, Server(document=crl())))
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(b"damaged")
    assert says(RevocationLists(tmp_path)).state is RevocationState.UNKNOWN
    assert says(RevocationLists(tmp_path, Server(document=crl()))).state is RevocationState.GOOD


def test_a_list_is_verified_for_each_issuer(tmp_path: Path) -> None:
    """Two authorities that name one place do not share what was believed of it."""
    lists = RevocationLists(tmp_path, Server(document=crl()))
    assert says(lists).state is RevocationState.GOOD
    other = IMPOSTOR.number()
    assert lists.status(other.chain[0], IMPOSTOR.certificate, (CRL_URL,), NOW).state is RevocationState.UNKNOWN


def test_an_authority_that_names_anothers_list_does_not_keep_that_from_being_had(tmp_path: Path) -> None:
    """A list that was of no use to one authority's certificates is asked for at once for those of its own."""
    lists = RevocationLists(tmp_path, Server(document=crl(SERIAL)))
    other = IMPOSTOR.number()
    assert lists.status(other.chain[0], IMPOSTOR.certificate, (CRL_URL,), NOW).state is RevocationState.UNKNOWN
    assert says(lists).state is RevocationState.REVOKED


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many authorities do not fill it."""
    monkeypatch.setattr("trust_store.revocation_lists._KEPT_IN_MEMORY", 2)
    lists = RevocationLists(tmp_path, lambda url: crl(distribution=scope(url)))
    for shard in range(5):
        assert says(lists, NOW, f"https://ca.example/{shard}.crl").state is RevocationState.GOOD
    assert len(lists._kept) == len(lists._asked) == 2


def test_threads_may_share_the_lists(tmp_path: Path) -> None:
    """Whichever comes first asks."""
    lists = RevocationLists(tmp_path, Server(document=crl(SERIAL)))
    found: list[RevocationState] = []
    run: Callable[[], None] = lambda: found.append(says(lists).state)  # noqa: E731  # a thread's target
    says(lists)
    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [RevocationState.REVOKED] * 8


def test_the_newest_list_itself_can_be_had(tmp_path: Path) -> None:
    """For whoever keeps what was certified, and has to find all of it that was revoked."""
    assert RevocationLists(tmp_path).newest(CRL_URL, ISSUER, NOW) is None
    found = RevocationLists(tmp_path, Server(document=crl(7))).newest(CRL_URL, ISSUER, NOW)
    assert found is not None
    assert [entry.serial_number for entry in found.crl] == [7]
