"""Records that end because their certificates do, or because the number goes to somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from number_directory.access_list import ANYONE, AccessList, AppAccess, Grant, sign_access_list
from number_directory.record import MOST_APPS, Record, sign_record
from number_directory.server import forgetting, publishing
from number_directory.server.checkup import examine
from number_directory.server.errors import EventsFailure
from number_directory.server.forgetting import Forgetter
from number_directory.server.number_event import EventKind, NumberEvent
from number_directory.server.number_events import JsonLinesFeed, follow, obey
from number_directory.server.revocation import Settled, Sparing, end_revoked
from number_directory.server.storage import Entry, authorities
from number_directory.server.storage.entries import Entries
from number_directory.server.unadmitted import AdmissionKeeper
from number_directory.server.upkeep import House
from policies.terms import Terms
from serving.database import Database, Value
from stir.telephone_number import TelephoneNumber
from tests.fakes.directory_world import CALLER, CHAT, OWNER, DirectoryWorld, accepted, refusal
from tests.fakes.small_pki import CRL_URL, NOW, Authority, root
from trust_store import Anchor, TrustHome
from trust_store.editing import add_anchor, remove_anchor
from trust_store.errors import FetchError
from trust_store.revocation_lists import RevocationLists


def crl(authority: Authority, at: datetime, *serials: int) -> bytes:
    """Return a revocation list."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.certificate.subject)
    builder = builder.last_update(at).next_update(at + timedelta(days=1))
    for serial in serials:
        one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
        builder = builder.add_revoked_certificate(one)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.DER)


def lists(world: DirectoryWorld, published: dict[str, bytes]) -> RevocationLists:
    """Return the worker's lists, which it fetches from what is published."""

    def fetch(url: str) -> bytes:
        if url not in published:
            raise FetchError(url)
        return published[url]

    return RevocationLists(TrustHome.beside(world.config.admission).revocation_lists, fetch)


def test_a_revoked_certificate_ends_its_records(world: DirectoryWorld) -> None:
    """The worker finds the certificate on its authority's list; the record is gone, and its owner is told why."""
    world.allow(ANYONE)
    world.publish()
    published = {CRL_URL: crl(world.authority, world.clock(), 999)}
    assert end_revoked(world.directory, lists(world, published)) == 0
    world.clock.advance(timedelta(minutes=10))
    published[CRL_URL] = crl(world.authority, world.clock(), 999, 1000)
    assert end_revoked(world.directory, lists(world, published)) == 1
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()
    result = world.post("/own", world.own_token())
    assert refusal(result) == (403, "certificateEnded")


def test_a_silent_authority_keeps_the_lists_of_others_waiting_once(world: DirectoryWorld) -> None:
    """Of its many lists one is waited for, and none for some minutes after that; one that says no is asked for all."""
    now, asked = 0.0, list[str]()

    def fetch(url: str) -> bytes:
        nonlocal now
        asked.append(url)
        now += 5.0 if "silent" in url else 0.1
        raise FetchError(url)

    lists_ = RevocationLists(world.config.folder / "lists", Sparing(fetch, lambda: now))
    places = [f"https://{host}.example/{shard}.crl" for host in ("a", "silent", "z") for shard in range(4)]

    def ask_all() -> list[str]:
        asked.clear()
        for place in places:
            assert lists_.newest(place, world.authority.certificate, world.clock()) is None
        return [place for place in asked if "silent" in place]

    assert ask_all() == ["https://silent.example/0.crl"]
    assert len(asked) == 9
    world.clock.advance(timedelta(minutes=5))
    now += 300
    assert ask_all() == ["https://silent.example/0.crl"]


def test_a_list_that_is_missed_is_told_of(small_world: DirectoryWorld, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody answers, another's list stands there, the list is out of date: each is told once, and when it is over."""
    caplog.set_level("INFO", "number_directory.server.revocation")
    small_world.publish()
    settled, published = Settled(), dict[str, bytes]()
    lists_ = lists(small_world, published)

    def told(by: timedelta) -> list[tuple[str, str]]:
        caplog.clear()
        small_world.clock.advance(by)
        for _ in range(2):
            end_revoked(small_world.directory, lists_, settled)
        return [(one.message, one.facts.get("reason", "")[:14]) for one in caplog.records]  # type: ignore[attr-defined]

    assert told(timedelta()) == [("revocation_list_missed", "it is not at h")]
    published[CRL_URL] = crl(root("Other", key_number=44), small_world.clock())
    assert told(timedelta(minutes=6)) == []
    published[CRL_URL] = crl(small_world.authority, small_world.clock())
    assert told(timedelta(minutes=6)) == [("revocation_list_there", "")]
    assert told(timedelta(days=1)) == [("revocation_list_missed", "it is out of d")]
    (finding,) = [one for one in examine(small_world.config) if one.name == "revocation lists"]
    assert not finding.is_ok
    assert f"{CRL_URL}: it is out of date" in finding.detail
    folder = TrustHome.beside(small_world.config.admission).revocation_lists
    published[CRL_URL] = crl(small_world.authority, datetime.now(UTC))
    RevocationLists(folder, published.__getitem__).newest(CRL_URL, small_world.authority.certificate, datetime.now(UTC))
    (finding,) = [one for one in examine(small_world.config) if one.name == "revocation lists"]
    assert (finding.is_ok, finding.detail) == (True, "1 are at hand and up to date")


def test_a_silent_authority_keeps_no_port_waiting(world: DirectoryWorld) -> None:
    """What asks others is no job of those that follow feeds."""
    house = House(world.directory)
    assert [name for name, _ in house.asking_jobs()] == ["revocation"]
    assert "revocation" not in dict(house.jobs())


def test_a_list_is_looked_through_for_some_minutes(world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of millions is not looked for in the database each minute, and a newer one is at once."""
    world.publish()
    looked: list[int] = []
    ask = Entries.of_certificates

    def of_certificates(self: Entries, authority: bytes, serials: Sequence[bytes]) -> list[Entry]:
        looked.append(len(serials))
        return ask(self, authority, serials)

    monkeypatch.setattr(Entries, "of_certificates", of_certificates)
    settled, published = Settled(), {CRL_URL: crl(world.authority, world.clock(), 999)}
    for _ in range(10):
        end_revoked(world.directory, lists(world, published), settled)
        world.clock.advance(timedelta(minutes=1))
    assert looked == [1] * 6
    published[CRL_URL] = crl(world.authority, world.clock(), 999, 1000)
    assert end_revoked(world.directory, lists(world, published), settled) == 1


def test_a_revoked_certificate_publishes_nothing(world: DirectoryWorld) -> None:
    """Front ends read the lists that the worker has fetched."""
    world.publish()
    end_revoked(world.directory, lists(world, {CRL_URL: crl(world.authority, world.clock(), 1000)}))
    world.clock.advance(timedelta(minutes=1))
    assert refusal(world.post("/records", world.record_token(seq=2))) == (403, "certificateEnded")
    world.hold(OWNER, world.authority.number(OWNER, serial=1001))
    assert refusal(world.post("/records", world.record_token(seq=1))) == (409, "conflict")
    world.publish(seq=2)
    assert "revoked" not in "".join(notice.text for notice in world.own().notices)


def test_a_record_stands_by_another_of_its_certificates(world: DirectoryWorld) -> None:
    """A record whose key two admitted authorities certify stays when one of them revokes."""
    second = root("Second Root", key_number=31)
    terms = Terms("second", "Second", "trust.toml:9")
    add_anchor(TrustHome.beside(world.config.admission), Anchor(terms, second.certificate))
    world.clock.advance(timedelta(seconds=10))
    held, other = world.held(), second.number(OWNER, crl_url="https://second.example/0.crl")
    now = int(world.clock().timestamp())
    record = Record(OWNER, CHAT, ("https://chat.example/u/1",), frozenset(), 1, now, now + 3600)
    token = sign_record(record, held.key, held.chain, [other.chain])
    accepted(world.post("/records", token))
    access_list = AccessList(OWNER, 1, now, AppAccess(frozenset({ANYONE})))
    accepted(world.post("/access-lists", sign_access_list(access_list, held.key, held.chain, [other.chain])))
    published = {CRL_URL: crl(world.authority, world.clock(), 1000)}
    assert end_revoked(world.directory, lists(world, published)) == 0
    assert world.look_up(OWNER, caller=None).records[OWNER] == (token,)
    published["https://second.example/0.crl"] = crl(second, world.clock(), 1001)
    world.clock.advance(timedelta(minutes=1))
    assert end_revoked(world.directory, lists(world, published)) == 1
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()


def test_the_records_of_a_revoked_authority_end(world: DirectoryWorld) -> None:
    """An issuing authority that its root took back takes all its records with it."""
    url = "https://ca.example/root.crl"
    issuing = world.authority.authority("Issuing", key_number=40, crl_url=url)
    for index in range(3):
        world.hold(OWNER, issuing.number(OWNER, serial=70 + index))
        world.publish(app=f"app{index}.example")
    world.allow(ANYONE)
    published = {url: crl(world.authority, world.clock(), issuing.certificate.serial_number)}
    assert end_revoked(world.directory, lists(world, published)) == 3
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()


def test_a_revoked_move_sends_nobody_on(world: DirectoryWorld) -> None:
    """A move that a stolen key may have signed ends with its certificate."""
    world.publish()
    world.allow(ANYONE)
    accepted(world.post("/moves", world.move_token("https://other.example")))
    assert end_revoked(world.directory, lists(world, {CRL_URL: crl(world.authority, world.clock(), 1000)})) == 1
    assert world.look_up(OWNER, caller=None).moves == {}


def test_a_port_ends_what_the_former_holder_signed(world: DirectoryWorld) -> None:
    """Records and access list end; the old certificate says nothing more, and a new holder's does."""
    world.publish()
    world.allow(ANYONE)
    event = NumberEvent(OWNER, EventKind.PORTED, world.clock())
    assert obey(world.directory, event) == 1
    assert obey(world.directory, event) == 0
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()
    assert refusal(world.post("/records", world.record_token(seq=2))) == (403, "certificateEnded")
    assert refusal(world.post("/own", world.own_token())) == (403, "certificateEnded")
    world.clock.advance(timedelta(hours=2))
    new = world.authority.number(OWNER, serial=2000, key_number=8, not_before=world.clock() - timedelta(hours=1))
    world.hold(OWNER, new)
    world.publish(seq=2)
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()
    own = world.own()
    assert own.access_list is None
    assert any("ported" in notice.text for notice in own.notices)


def test_a_new_holder_finds_nothing_of_the_former_one(world: DirectoryWorld) -> None:
    """Not where it was reached, nor which apps it had or signed twice; and nothing of it stands in the way."""
    world.allow(ANYONE, seq=9)
    for index in range(MOST_APPS):
        world.publish(app=f"app{index}.example", seq=9)
    accepted(world.post("/records", world.record_token(app="app0.example", seq=10, uris=())))
    assert refusal(world.post("/records", world.record_token(app="app1.example", seq=9, uris=()))) == (409, "conflict")
    assert refusal(world.post("/access-lists", world.access_list_token(seq=9))) == (409, "conflict")
    assert obey(world.directory, NumberEvent(OWNER, EventKind.REASSIGNED, world.clock())) == MOST_APPS - 1
    world.clock.advance(timedelta(hours=2))
    new = world.authority.number(OWNER, serial=2000, key_number=8, not_before=world.clock() - timedelta(hours=1))
    world.hold(OWNER, new)
    own = world.own()
    assert own.records == ()
    assert ["reassigned" in notice.text for notice in own.notices] == [True]
    world.publish(app="app0.example", seq=1)
    world.allow(ANYONE, seq=1)
    assert len(world.look_up(OWNER, caller=None).records[OWNER]) == 1


def test_a_late_event_leaves_the_new_holder_what_is_its_own(world: DirectoryWorld) -> None:
    """What was signed under certificates from after the event stays, and so do its conflicts."""
    world.publish(app="former.example")
    event = NumberEvent(OWNER, EventKind.REASSIGNED, world.clock())
    world.clock.advance(timedelta(hours=2))
    new = world.authority.number(OWNER, serial=2000, key_number=8, not_before=world.clock() - timedelta(hours=1))
    world.hold(OWNER, new)
    world.publish()
    world.allow(ANYONE)
    assert refusal(world.post("/records", world.record_token(uris=()))) == (409, "conflict")
    assert refusal(world.post("/access-lists", world.access_list_token())) == (409, "conflict")
    assert obey(world.directory, event) == 1
    own = world.own()
    assert [one.record.app for one in own.records] == [CHAT]
    assert sum("was refused" in notice.text for notice in own.notices) == 2
    assert world.look_up(OWNER, caller=None).records[OWNER]


def test_an_event_from_before_a_certificate_changes_nothing(world: DirectoryWorld) -> None:
    """What the number's new holder has signed since stays, though the feed is late."""
    world.publish()
    world.allow(ANYONE)
    assert obey(world.directory, NumberEvent(OWNER, EventKind.REASSIGNED, NOW - timedelta(days=2))) == 0
    assert world.look_up(OWNER, caller=None).records[OWNER]


def test_a_feed_is_read_once(world: DirectoryWorld, tmp_path: Path) -> None:
    """Whole lines are obeyed, half ones wait for their end, and nothing is read twice."""
    world.publish()
    world.allow(ANYONE)
    file = tmp_path / "events.jsonl"
    feed = JsonLinesFeed("feed", file)
    assert follow(world.directory, feed) == 0
    line = f'{{"number": "+13035550100", "event": "ported", "at": "{NOW:%Y-%m-%dT%H:%M:%SZ}"}}\n'
    file.write_text(line + line[:20])
    assert follow(world.directory, feed) == 1
    assert world.look_up(OWNER, caller=None).records[OWNER]
    with file.open("a") as handle:
        handle.write(line[20:].replace("+13035550100", OWNER.e164))
        handle.write(line.replace("+13035550100", OWNER.e164))
    assert follow(world.directory, feed) == 2
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()
    assert follow(world.directory, feed) == 0


@pytest.mark.parametrize(
    "line", ["nonsense", '{"number": "1", "event": "ported", "at": "2026-06-01T12:00:00Z"}', "[1]"]
)
def test_a_feed_with_a_line_that_is_no_event_stops_there(
    small_world: DirectoryWorld, tmp_path: Path, line: str
) -> None:
    """Nothing is skipped in silence: the operator is told of the file."""
    file = tmp_path / "events.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(EventsFailure, match=r"events\.jsonl"):
        follow(small_world.directory, JsonLinesFeed("feed", file))


def test_a_file_that_was_replaced_is_read_from_its_beginning(small_world: DirectoryWorld, tmp_path: Path) -> None:
    """A rotated file is a new one."""
    file, newer = tmp_path / "events.jsonl", tmp_path / "newer"
    line = f'{{"number": "{OWNER.e164}", "event": "ported", "at": "2026-06-01T12:00:00Z"}}\n'
    file.write_text(line * 2)
    feed = JsonLinesFeed("feed", file)
    assert follow(small_world.directory, feed) == 2
    newer.write_text(line)
    newer.replace(file)
    assert follow(small_world.directory, feed) == 1


def test_a_file_that_was_cut_off_is_read_from_its_beginning(small_world: DirectoryWorld, tmp_path: Path) -> None:
    """Where a file is rotated by a copy, what comes next is not passed over until the file is as long as before."""
    file = tmp_path / "events.jsonl"
    line = f'{{"number": "{OWNER.e164}", "event": "ported", "at": "2026-06-01T12:00:00Z"}}\n'
    file.write_text(line * 3)
    feed = JsonLinesFeed("feed", file)
    assert follow(small_world.directory, feed) == 3
    with file.open("r+") as handle:
        handle.truncate(0)
        assert follow(small_world.directory, feed) == 0
        handle.write(line)
    assert follow(small_world.directory, feed) == 1


def test_what_was_answered_is_remembered_for_hosts_whose_clocks_are_behind(world: DirectoryWorld) -> None:
    """A request that is over by the worker's clock may be fresh at a front end: it is not answered there again."""
    storage, now = world.directory.storage, world.clock()
    assert storage.replays.spend(bytes(12), now + timedelta(minutes=1), now)
    world.clock.advance(timedelta(minutes=5))
    Forgetter(world.directory).turn()
    assert not storage.replays.spend(bytes(12), now + timedelta(minutes=1), now)
    world.clock.advance(timedelta(minutes=2))
    Forgetter(world.directory).turn()
    assert storage.replays.spend(bytes(12), now + timedelta(minutes=1), now)


def test_what_ended_is_forgotten_when_nothing_could_bring_it_back(world: DirectoryWorld) -> None:
    """A withdrawn record is remembered as long as its certificate is good and some days more, then not at all."""
    old = world.record_token(seq=1, life=timedelta(days=6))
    accepted(world.post("/records", old))
    accepted(world.post("/records", world.record_token(seq=2, uris=())))
    world.clock.advance(timedelta(days=5))
    Forgetter(world.directory).turn()
    assert refusal(world.post("/records", old)) == (409, "outdated")
    world.clock.advance(timedelta(days=32))
    assert Forgetter(world.directory).turn() == 1
    assert world.directory.storage.numbers.find(OWNER) is None
    assert refusal(world.post("/records", old))[1] in {"outdated", "certificateEnded"}


def test_numbers_that_have_nothing_are_forgotten_some_at_a_turn(
    world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn looks at a few numbers, the next one at those behind them, and then it begins anew."""
    monkeypatch.setattr(forgetting, "NUMBERS_A_TURN", 2)
    numbers = [TelephoneNumber(f"1303555010{last}") for last in range(5)]
    with world.directory.storage.transaction():
        world.directory.storage.numbers.hold_all(numbers)
    world.publish(numbers[1])
    forgetter = Forgetter(world.directory)
    left = []
    for _ in range(4):
        forgetter.turn()
        left.append([number for number in numbers if world.directory.storage.numbers.find(number) is not None])
    assert left == [numbers[1:], [numbers[1], numbers[4]], [numbers[1]], [numbers[1]]]
    with world.directory.storage.transaction():
        world.directory.storage.numbers.hold_all(numbers[:1])
    forgetter.turn()
    assert world.directory.storage.numbers.find(numbers[0]) is None


def test_forgetting_reads_no_large_table_from_end_to_end(
    small_world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ten million records a turn of each minute would take seconds, where it has nothing to forget."""
    small_world.publish()
    run, execute = set(), Database._execute

    def noting(self: Database, connection: object, sql: str, values: tuple[Value, ...]) -> object:
        run.add((sql, values))
        return execute(self, connection, sql, values)

    monkeypatch.setattr(Database, "_execute", noting)
    Forgetter(small_world.directory).turn()
    monkeypatch.undo()
    asked = [(sql, values) for sql, values in run if sql.lstrip().startswith(("SELECT", "DELETE"))]
    assert len(asked) >= 7
    rows = small_world.directory.storage.entries.database.rows
    steps = [step for sql, values in asked for *_, step in rows(f"EXPLAIN QUERY PLAN {sql}", *values)]
    assert {step for step in steps if step.startswith("SCAN")} <= {"SCAN directory_conflicts"}


def test_the_places_of_old_hashes_are_forgotten_in_a_round(
    world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `receipt_days` no receipt is made any more of what was placed; what waits stays, however old it is."""
    monkeypatch.setattr(forgetting, "ROUND", 3)
    tree = world.directory.storage.tree
    placed = [bytes([first]) * 32 for first in (0, 84, 85, 86, 170, 171, 255)]
    with world.directory.storage.transaction():
        tree.queue(placed, world.clock())
    world.sequencer().step()
    with world.directory.storage.transaction():
        tree.queue([bytes(31) + b"1"], world.clock())
    forgetter = Forgetter(world.directory)
    for days, left in ((400, 7), (1, 0)):
        world.clock.advance(timedelta(days=days))
        for _ in range(3):
            forgetter.turn()
        assert sum(tree.index_of(hash_) is not None for hash_ in placed) == left
    assert tree.queued(10) == [bytes(31) + b"1"]


def test_a_live_number_is_not_forgotten(world: DirectoryWorld) -> None:
    """Keeping house touches nothing that counts."""
    world.publish()
    world.allow(ANYONE)

    def fetch(_url: str) -> bytes:
        return crl(world.authority, datetime.now(UTC))

    house = House(world.directory, fetch=fetch)
    for name, job in (*house.jobs(), *house.asking_jobs()):
        assert name
        job()
    assert world.look_up(OWNER, caller=None).records[OWNER]


def test_an_access_list_ends_with_its_certificate(world: DirectoryWorld) -> None:
    """A list does not outlive the certificate that brought it in, though the key has another one, and signs on."""
    world.allow(ANYONE)
    world.hold(OWNER, world.authority.number(OWNER, serial=1001))
    world.publish()
    assert world.look_up(OWNER, caller=None).records[OWNER]
    end_revoked(world.directory, lists(world, {CRL_URL: crl(world.authority, world.clock(), 1000)}))
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()
    own = world.own()
    assert (own.access_list, len(own.records)) == (None, 1)
    assert "the access list ended" in own.notices[0].text
    assert refusal(world.post("/access-lists", world.access_list_token(seq=1))) == (409, "outdated")
    world.allow(ANYONE, seq=2)
    assert world.look_up(OWNER, caller=None).records[OWNER]


def test_the_access_lists_of_a_revoked_authority_end(world: DirectoryWorld) -> None:
    """An issuing authority that its root took back takes the access lists with it, too."""
    url = "https://ca.example/root.crl"
    issuing = world.authority.authority("Issuing", key_number=40, crl_url=url)
    world.hold(OWNER, issuing.number(OWNER, serial=70))
    world.allow(ANYONE)
    end_revoked(
        world.directory, lists(world, {url: crl(world.authority, world.clock(), issuing.certificate.serial_number)})
    )
    kept = world.directory.storage.numbers.find(OWNER)
    assert kept is not None
    assert (kept.access_list, kept.access_seq) == (None, 1)


def test_nobody_makes_the_worker_fetch_from_a_place_of_its_choice(world: DirectoryWorld) -> None:
    """What an owner or a caller appends to a chain that leads to an anchor is neither kept nor asked for anything."""
    issuing = world.authority.authority("Issuing", key_number=40)
    evil = root("Evil", key_number=66)
    fake = evil.authority("Example Root", key_number=1, path_length=None, crl_url="http://169.254.169.254/latest")
    for index, number in enumerate((OWNER, CALLER)):
        honest = issuing.number(number, serial=70 + index)
        world.hold(number, replace(honest, chain=(*honest.chain[:2], *fake.chain)))
    world.allow(ANYONE)
    world.publish()
    world.look_up(OWNER)
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        raise FetchError(url)

    folder = TrustHome.beside(world.config.admission).revocation_lists
    assert end_revoked(world.directory, RevocationLists(folder, fetch)) == 0
    assert asked == [CRL_URL]
    (kept,) = world.directory.storage.authorities.all()
    assert kept.chain == issuing.chain


def test_the_revocation_list_of_a_callers_authority_is_fetched(world: DirectoryWorld) -> None:
    """A caller whose authority has no record here is judged by what that authority revoked, all the same."""
    other = root("Second Root", key_number=31)
    terms = Terms("second", "Second", "trust.toml:9")
    add_anchor(TrustHome.beside(world.config.admission), Anchor(terms, other.certificate))
    world.clock.advance(timedelta(seconds=10))
    url = "https://second.example/0.crl"
    world.hold(CALLER, other.number(CALLER, serial=7, crl_url=url))
    world.look_up(OWNER)
    end_revoked(world.directory, lists(world, {url: crl(other, world.clock(), 7)}))
    world.clock.advance(timedelta(minutes=1))
    assert refusal(world.post("/lookup", world.lookup_token([OWNER]))) == (403, "certificateEnded")


def test_what_callers_bring_is_bounded(world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority that names a list of its own in each certificate fills nobody's database by its callers."""
    monkeypatch.setattr(authorities, "_MOST_URLS", 2)
    for index in range(4):
        held = world.authority.number(CALLER, serial=100 + index, crl_url=f"https://ca.example/{index}.crl")
        world.hold(CALLER, held)
        world.look_up(OWNER)
    (kept,) = world.directory.storage.authorities.all()
    assert len(kept.crl_urls) == 2


def test_the_former_holder_of_a_number_asks_for_nothing(world: DirectoryWorld) -> None:
    """Who is let see something is let see it by a number: whoever has it no more is not that caller."""
    world.publish()
    world.allow(Grant.to_number(CALLER))
    assert world.look_up(OWNER).records[OWNER]
    obey(world.directory, NumberEvent(CALLER, EventKind.REASSIGNED, world.clock()))
    assert refusal(world.post("/lookup", world.lookup_token([OWNER]))) == (403, "certificateEnded")
    later = world.clock() + timedelta(seconds=1)
    world.hold(CALLER, world.authority.number(CALLER, serial=77, not_before=later, key_number=8))
    world.clock.advance(timedelta(minutes=1))
    assert world.look_up(OWNER).records[OWNER]


def test_a_thief_leaves_the_owner_room(small_world: DirectoryWorld) -> None:
    """Once its certificate is revoked, what it published or withdrew takes none of the number's places."""
    small_world.publish(app="own.example")
    own = small_world.held()
    small_world.hold(OWNER, small_world.authority.number(OWNER, serial=66, key_number=9))
    for index in range(MOST_APPS - 1):
        small_world.publish(app=f"app{index}.example")
    accepted(small_world.post("/records", small_world.record_token(app="app0.example", seq=2, uris=())))
    small_world.hold(OWNER, own)
    full = refusal(small_world.post("/records", small_world.record_token(app="new.example")))
    assert full == (403, "tooManyApps")
    end_revoked(
        small_world.directory, lists(small_world, {CRL_URL: crl(small_world.authority, small_world.clock(), 66)})
    )
    for index in range(MOST_APPS - 1):
        small_world.publish(app=f"{'app' if index % 2 else 'new'}{index}.example", seq=3)
    full = refusal(small_world.post("/records", small_world.record_token(app="app0.example", seq=4)))
    assert full == (403, "tooManyApps")
    small_world.allow(ANYONE)
    assert len(small_world.look_up(OWNER, caller=None).records[OWNER]) == MOST_APPS


def test_what_is_remembered_of_a_number_is_bounded(
    small_world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificates that come and are revoked fill no database."""
    monkeypatch.setattr(publishing, "_MOST_REMEMBERED", 3)
    for serial in range(4):
        small_world.hold(OWNER, small_world.authority.number(OWNER, serial=60 + serial, key_number=9))
        result = small_world.post("/records", small_world.record_token(app=f"app{serial}.example"))
        assert result.status_code == (200 if serial < 3 else 403)
        revoked = crl(small_world.authority, small_world.clock(), *range(60, 61 + serial))
        end_revoked(small_world.directory, lists(small_world, {CRL_URL: revoked}))
        small_world.clock.advance(timedelta(minutes=6))


# An authority that is no longer admitted


def test_hidden_records_take_no_place_and_come_back_while_there_is_room(small_world: DirectoryWorld) -> None:
    """A number has never more than 32 records that are shown, whatever the operator puts back on its list."""
    rogue = root("Rogue Root", key_number=31)
    home = TrustHome.beside(small_world.config.admission)
    anchor = Anchor(Terms("rogue", "Rogue", "trust.toml:9"), rogue.certificate)
    add_anchor(home, anchor)
    small_world.clock.advance(timedelta(seconds=10))
    honest = small_world.held()
    small_world.hold(OWNER, rogue.number(OWNER, serial=8))
    for index in range(MOST_APPS):
        small_world.publish(app=f"app{index}.example")
    small_world.hold(OWNER, honest)
    keeper = AdmissionKeeper(small_world.directory)
    remove_anchor(home, "rogue")
    small_world.clock.advance(timedelta(seconds=31))
    assert keeper.follow() == MOST_APPS
    small_world.publish(app="own.example")
    small_world.allow(ANYONE)
    assert len(small_world.look_up(OWNER, caller=None).records[OWNER]) == 1
    add_anchor(home, anchor)
    small_world.clock.advance(timedelta(seconds=31))
    assert keeper.follow() == MOST_APPS - 1
    assert len(small_world.look_up(OWNER, caller=None).records[OWNER]) == MOST_APPS


def _admit(world: DirectoryWorld, *, again: bool) -> None:
    home = TrustHome.beside(world.config.admission)
    if again:
        add_anchor(home, Anchor(Terms("again", "Example", "trust.toml:1"), world.authority.certificate))
    else:
        remove_anchor(home, "example-ca")
    world.clock.advance(timedelta(seconds=31))


def test_the_records_of_an_authority_are_hidden_while_it_is_not_admitted(world: DirectoryWorld) -> None:
    """An operator takes an authority off its list, and its records are gone; they are back when it is."""
    keeper = AdmissionKeeper(world.directory)
    world.allow(ANYONE)
    world.publish()
    world.publish(app="other.example")
    assert keeper.follow() == 0
    _admit(world, again=False)
    assert keeper.follow() == 3  # the access list, too
    assert keeper.follow() == 0
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()
    _admit(world, again=True)
    assert keeper.follow() == 3
    assert len(world.look_up(OWNER, caller=None).records[OWNER]) == 2
    assert world.own().notices == ()


def test_the_access_lists_of_an_authority_are_hidden_while_it_is_not_admitted(world: DirectoryWorld) -> None:
    """A list that a rogue authority's certificate signed opens nothing any more, however long ago that ended."""
    rogue = root("Rogue Root", key_number=31)
    anchor = Anchor(Terms("rogue", "Rogue", "trust.toml:9"), rogue.certificate)
    home = TrustHome.beside(world.config.admission)
    add_anchor(home, anchor)
    world.clock.advance(timedelta(seconds=10))
    honest, forged = world.held(), rogue.number(OWNER, serial=8, not_after=world.clock() + timedelta(hours=1))
    world.publish()
    world.hold(OWNER, forged)
    world.allow(ANYONE)
    world.hold(OWNER, honest)
    world.clock.advance(timedelta(hours=2))
    keeper = AdmissionKeeper(world.directory)
    assert keeper.follow() == 0
    assert world.look_up(OWNER, caller=None).records[OWNER]
    remove_anchor(home, "rogue")
    world.clock.advance(timedelta(seconds=31))
    assert (keeper.follow(), keeper.follow()) == (1, 0)
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()
    assert any("the access list is hidden" in notice.text for notice in world.own().notices)
    world.publish(app="other.example")
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()
    add_anchor(home, anchor)
    world.clock.advance(timedelta(seconds=31))
    assert (keeper.follow(), keeper.follow()) == (1, 0)
    assert len(world.look_up(OWNER, caller=None).records[OWNER]) == 2
    assert world.own().notices == ()


def test_an_owner_replaces_a_hidden_access_list(world: DirectoryWorld) -> None:
    """With another authority's certificate it says anew who sees what, and that counts at once."""
    second = root("Second Root", key_number=31)
    home = TrustHome.beside(world.config.admission)
    add_anchor(home, Anchor(Terms("second", "Second", "trust.toml:9"), second.certificate))
    world.clock.advance(timedelta(seconds=10))
    world.allow(ANYONE)
    _admit(world, again=False)
    keeper = AdmissionKeeper(world.directory)
    assert keeper.follow() == 1
    world.hold(OWNER, second.number(OWNER, serial=8))
    world.publish()
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()
    world.allow(ANYONE, seq=2)
    assert world.look_up(OWNER, caller=None).records[OWNER]
    assert keeper.follow() == 0


def test_an_access_list_that_another_admitted_authority_certifies_stays(world: DirectoryWorld) -> None:
    """A list with chains of two authorities needs one of them on the admission list, though both have ended."""
    second = root("Second Root", key_number=31)
    home = TrustHome.beside(world.config.admission)
    add_anchor(home, Anchor(Terms("second", "Second", "trust.toml:9"), second.certificate))
    world.clock.advance(timedelta(seconds=10))
    held, other, now = world.held(), second.number(OWNER), int(world.clock().timestamp())
    access_list = AccessList(OWNER, 1, now, AppAccess(frozenset({ANYONE})))
    accepted(world.post("/access-lists", sign_access_list(access_list, held.key, held.chain, [other.chain])))
    world.clock.advance(timedelta(days=30))
    _admit(world, again=False)
    assert AdmissionKeeper(world.directory).follow() == 0
    kept = world.directory.storage.numbers.find(OWNER)
    assert kept is not None
    assert kept.shown_access_list == kept.access_list is not None


def test_what_was_revoked_while_it_was_hidden_does_not_come_back(world: DirectoryWorld) -> None:
    """A record is shown again only where its certificate would bring it in now."""
    keeper = AdmissionKeeper(world.directory)
    world.allow(ANYONE)
    world.publish()
    _admit(world, again=False)
    keeper.follow()
    end_revoked(world.directory, lists(world, {CRL_URL: crl(world.authority, world.clock(), 1000)}))
    _admit(world, again=True)
    assert keeper.follow() == 0
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()


def test_a_record_that_another_admitted_authority_certifies_stays(world: DirectoryWorld) -> None:
    """A record with chains of two authorities needs one of them on the list."""
    second = root("Second Root", key_number=31)
    add_anchor(
        TrustHome.beside(world.config.admission), Anchor(Terms("second", "Second", "trust.toml:9"), second.certificate)
    )
    world.clock.advance(timedelta(seconds=10))
    held, other, now = world.held(), second.number(OWNER), int(world.clock().timestamp())
    list_ = AccessList(OWNER, 1, now, AppAccess(frozenset({ANYONE})))
    accepted(world.post("/access-lists", sign_access_list(list_, held.key, held.chain, [other.chain])))
    record = Record(OWNER, CHAT, ("https://chat.example/u/1",), frozenset(), 1, now, now + 3600)
    accepted(world.post("/records", sign_record(record, held.key, held.chain, [other.chain])))
    _admit(world, again=False)
    assert AdmissionKeeper(world.directory).follow() == 0
    assert world.look_up(OWNER, caller=None).records[OWNER]


def test_hidden_records_of_a_number_that_moved_stay_hidden(world: DirectoryWorld) -> None:
    """A number that moved away meanwhile has no records here when its authority is admitted again."""
    keeper = AdmissionKeeper(world.directory)
    second = root("Second Root", key_number=31)
    home = TrustHome.beside(world.config.admission)
    add_anchor(home, Anchor(Terms("second", "Second", "trust.toml:9"), second.certificate))
    world.clock.advance(timedelta(seconds=10))
    world.allow(ANYONE)
    world.publish()
    _admit(world, again=False)
    keeper.follow()
    world.hold(OWNER, second.number(OWNER, serial=8))
    accepted(world.post("/moves", world.move_token("https://other.example")))
    _admit(world, again=True)
    keeper.follow()
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()
    assert [entry.state.value for entry in world.directory.storage.entries.of_number(OWNER)] == ["live", "moved"]
