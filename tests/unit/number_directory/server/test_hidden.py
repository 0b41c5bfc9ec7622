"""What the directory answers of hidden numbers, what its buckets hold, and what it learns."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from number_directory.access_list import ANYONE, AppAccess, Grant
from number_directory.errors import AnswerError
from number_directory.hidden import Bucket, HiddenKey, HiddenQuestion, find_in_bucket
from number_directory.hidden_lookup import HiddenAnswer, HiddenLayout, HiddenRecords, OpenHiddenRequest
from number_directory.record import Medium, SignedRecord
from number_directory.server.app import open_hidden
from number_directory.server.config import Hidden, Metrics, Quota, Quotas
from number_directory.server.errors import KeyStoreError
from number_directory.server.hidden_upkeep import best_depth, deepest_possible, shallowest_possible
from number_directory.server.number_event import EventKind, NumberEvent
from number_directory.server.number_events import obey
from number_directory.server.storage import Storage
from number_directory.server.storage.grants import ANYONE as ANYONE_OF_ALL
from number_directory.server.storage.grants import key_of, of_prefix, of_token
from number_directory.statement import statement_body
from stir.telephone_number import TelephoneNumber
from tests.fakes.directory_world import CALLER, CHAT, EVERYBODY, OWNER, STRANGER, VIDEO, DirectoryWorld, refusal

SMALLEST = 8


def look_up(
    world: DirectoryWorld, *numbers: TelephoneNumber, caller: TelephoneNumber | None = None
) -> list[HiddenRecords | None]:
    """Look numbers up as a caller does who does not show them."""
    question = HiddenQuestion(numbers)
    body = (
        OpenHiddenRequest(question.blinded).to_json()
        if caller is None
        else statement_body(world.hidden_token(question.blinded, caller))
    )
    result = world.send("/hidden/evaluate", body)
    assert result.status_code == 200, result.text
    assert world.directory.hidden is not None
    key = world.directory.hidden.public_key
    layout = HiddenLayout.parse(world.client.simulate_get("/hidden/buckets").content)
    found = []
    for hidden in question.finish(HiddenAnswer.parse(result.content).evaluated, key):
        data = bucket(world, layout.bucket(hidden.label))
        (plain,) = find_in_bucket(data, [hidden]).values() or (None,)
        found.append(None if plain is None else HiddenRecords.parse(plain))
    return found


def bucket(world: DirectoryWorld, asked: Bucket) -> bytes:
    """Fetch a bucket."""
    result = world.client.simulate_get(f"/hidden/buckets/{asked.name}")
    assert result.status_code == 200, result.text
    return result.content


def labels(world: DirectoryWorld, asked: Bucket) -> dict[bytes, int]:
    """Return the labels in a bucket, each with the length of what stands under it."""
    data, at, found = bucket(world, asked), 0, {}
    while at < len(data):
        length = int.from_bytes(data[at + 32 : at + 36], "big")
        found[data[at : at + 32]] = length
        at += 36 + length
    return found


def opened(world: DirectoryWorld, *grants: Grant) -> DirectoryWorld:
    """Return the world with a record for whom these grants admit, and its labels made."""
    world.publish()
    world.allow(*grants)
    world.keeper().fill()
    return world


def apps(found: HiddenRecords | None) -> list[str]:
    """Return the apps of what was found."""
    return [] if found is None else [SignedRecord.parse(text).app for text in found.records]


class TestWhatIsFound:
    """A hidden lookup finds what an unsigned one is shown."""

    @pytest.mark.parametrize("caller", [None, CALLER])
    def test_what_is_open_to_anyone_is_found(self, world: DirectoryWorld, caller: TelephoneNumber | None) -> None:
        """Signed or not; a number without records is found in no bucket."""
        opened(world, ANYONE)
        found, absent = look_up(world, OWNER, STRANGER, caller=caller)
        assert found is not None
        assert found.records == world.look_up(OWNER, caller=None).records[OWNER]
        assert absent is None

    @pytest.mark.parametrize("grant", [Grant.to_number(CALLER), Grant.to_token("t" * 22)])
    def test_what_is_open_to_some_is_not_found(self, world: DirectoryWorld, grant: Grant) -> None:
        """Not even by the caller that may see it: a bucket is the same for everybody."""
        assert look_up(opened(world, grant), OWNER, caller=CALLER) == [None]

    def test_media_are_found_where_anyone_may_see_them(self, world: DirectoryWorld) -> None:
        """A record whose media are for some comes without them, and tells as little as in an open lookup."""
        world.publish()
        access = AppAccess(frozenset({ANYONE}), frozenset({Grant.to_number(CALLER)}))
        world.post("/access-lists", world.access_list_token(default=access))
        world.keeper().fill()
        (found,) = look_up(world, OWNER, caller=CALLER)
        assert found is not None
        assert SignedRecord.parse(found.records[0]).record.media is None
        world.post("/access-lists", world.access_list_token(seq=2, default=EVERYBODY))
        (found,) = look_up(world, OWNER)
        assert found is not None
        assert SignedRecord.parse(found.records[0]).record.media == {Medium.MESSAGE}

    def test_only_the_apps_that_are_open_are_found(self, world: DirectoryWorld) -> None:
        """An app with a list of its own follows that."""
        world.publish(app=CHAT)
        world.publish(app=VIDEO)
        world.post("/access-lists", world.access_list_token(apps={VIDEO: EVERYBODY}))
        world.keeper().fill()
        assert apps(look_up(world, OWNER)[0]) == [VIDEO]

    def test_a_number_that_has_moved_is_found_with_its_move(self, world: DirectoryWorld) -> None:
        """Those who could see a record are told where the number is now."""
        opened(world, ANYONE)
        token = world.move_token("https://other.example")
        assert world.post("/moves", token).status_code == 200
        assert look_up(world, OWNER) == [HiddenRecords((), token)]


class TestWhatIsGone:
    """What an unsigned lookup is no longer shown is in no bucket, at once and without the worker."""

    def test_a_withdrawn_record_is_gone(self, world: DirectoryWorld) -> None:
        """Its label stands in no bucket any more."""
        opened(world, ANYONE)
        world.post("/records", world.record_token(seq=2, uris=()))
        assert look_up(world, OWNER) == [None]

    def test_a_denied_record_is_gone_and_comes_back(self, world: DirectoryWorld) -> None:
        """An access list counts for buckets when it is accepted."""
        opened(world, ANYONE)
        world.allow(Grant.to_number(CALLER), seq=2)
        assert look_up(world, OWNER) == [None]
        world.allow(ANYONE, seq=3)
        assert look_up(world, OWNER) == [None]  # its label was forgotten, and is to be made again
        world.keeper().fill()
        assert apps(look_up(world, OWNER)[0]) == [CHAT]

    def test_an_expired_record_is_gone_and_then_forgotten(self, world: DirectoryWorld) -> None:
        """At its moment, beside another that lives on; the worker forgets numbers that have nothing left."""
        opened(world, ANYONE)
        world.post("/records", world.record_token(app=VIDEO, life=timedelta(hours=1)))
        assert apps(look_up(world, OWNER)[0]) == [CHAT, VIDEO]
        world.clock.advance(timedelta(hours=1))
        assert apps(look_up(world, OWNER)[0]) == [CHAT]
        keeper = world.keeper()
        assert keeper.forget_ended() == 0
        world.clock.advance(timedelta(days=1))
        assert look_up(world, OWNER) == [None]
        assert [keeper.forget_ended(), keeper.forget_ended()] == [0, 1]  # it was at the end before
        assert world.directory.storage.hidden.count() == 0

    def test_a_number_that_lives_on_for_some_is_forgotten(self, world: DirectoryWorld) -> None:
        """What a token still opens is no reason to count the number among those of a bucket."""
        for app, life in ((CHAT, timedelta(days=1)), (VIDEO, timedelta(hours=1))):
            world.post("/records", world.record_token(app=app, life=life))
        token = AppAccess(frozenset({Grant.to_token("t" * 22)}))
        world.post("/access-lists", world.access_list_token(default=token, apps={VIDEO: EVERYBODY}))
        keeper = world.keeper()
        assert keeper.fill() == 1
        assert keeper.forget_ended() == 0
        world.clock.advance(timedelta(hours=2))
        assert [keeper.forget_ended(), keeper.forget_ended()] == [0, 1]

    def test_a_reassigned_number_is_gone(self, world: DirectoryWorld) -> None:
        """What its former holder opened is in no bucket."""
        opened(world, ANYONE)
        world.clock.advance(timedelta(hours=1))
        assert obey(world.directory, NumberEvent(OWNER, EventKind.REASSIGNED, world.clock())) == 1
        assert look_up(world, OWNER) == [None]


class TestBuckets:
    """How buckets are made."""

    def test_a_bucket_with_too_few_numbers_is_filled_up(self, world: DirectoryWorld) -> None:
        """Eight entries, of which nobody can tell seven from a number's; the eighth takes the place of one."""
        opened(world)
        empty = labels(world, Bucket(0, 0))
        assert len(empty) == SMALLEST
        world.allow(ANYONE, seq=2)
        world.keeper().fill()
        found = labels(world, Bucket(0, 0))
        assert len(found) == SMALLEST
        assert len(found.keys() & empty.keys()) == SMALLEST - 1
        assert {length - 28 for length in found.values()} <= {4096 << doublings for doublings in range(5)}

    def test_a_bucket_stays_the_same_until_something_changes(self, world: DirectoryWorld) -> None:
        """It has an ETag; whoever has it already is told so, and caches may keep it for a minute."""
        opened(world, ANYONE)
        first = world.client.simulate_get("/hidden/buckets/0-0")
        assert first.headers["cache-control"] == "public, max-age=60"
        again = world.client.simulate_get("/hidden/buckets/0-0", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
        weak = {"If-None-Match": f'"other", W/{first.headers["etag"]}'}
        assert world.client.simulate_get("/hidden/buckets/0-0", headers=weak).status_code == 304
        world.post("/records", world.record_token(seq=2))
        changed = world.client.simulate_get("/hidden/buckets/0-0", headers={"If-None-Match": first.headers["etag"]})
        assert changed.status_code == 200

    @pytest.mark.parametrize("name", ["1-0", "0-1", "x", "00-0", "21-0", "0-0-0"])
    def test_what_is_no_bucket_now_is_not_found(self, small_world: DirectoryWorld, name: str) -> None:
        """Also one of another depth: whoever asked for the whole directory by 0-0 would get it."""
        small_world.keeper().fill()
        assert refusal(small_world.client.simulate_get(f"/hidden/buckets/{name}")) == (404, "notFound")

    def test_the_depth_follows_the_numbers(self, world: DirectoryWorld) -> None:
        """With many numbers there are more buckets, each with enough; with fewer, fewer, and all are still found."""
        numbers = [TelephoneNumber(f"1202556{last:04}") for last in range(80)]
        for number in numbers:
            world.publish(number)
            world.allow(ANYONE, number=number)
        keeper = world.keeper()
        assert keeper.fill() == 80
        keeper.lay_out()
        depth = world.directory.storage.hidden.layout().depth
        assert depth >= 1
        counts = [len(labels(world, Bucket(depth, index))) for index in range(1 << depth)]
        assert min(counts) >= SMALLEST
        assert sum(counts) == 80
        assert all(look_up(world, *numbers))
        for number in numbers[4:]:
            world.allow(number=number, seq=2)
        assert {len(labels(world, Bucket(depth, index))) for index in range(1 << depth)} == {SMALLEST}
        keeper.lay_out()
        assert world.directory.storage.hidden.layout().depth == 0
        assert refusal(world.client.simulate_get(f"/hidden/buckets/{depth}-0")) == (404, "notFound")
        assert all(look_up(world, *numbers[:4]))

    def test_the_operator_may_fix_the_depth(self, tmp_path: Path) -> None:
        """Then buckets are filled up, however few numbers there are."""
        world = DirectoryWorld.make(tmp_path, hidden=Hidden(offered=True, smallest_bucket=SMALLEST, depth=4))
        opened(world, ANYONE)
        assert apps(look_up(world, OWNER)[0]) == [CHAT]
        assert {len(labels(world, Bucket(4, index))) for index in range(16)} == {SMALLEST}
        world.close()

    def test_a_fixed_depth_gives_way_where_a_bucket_would_overflow(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All open numbers are found, also where the operator's depth has too few buckets for them."""
        monkeypatch.setattr("number_directory.server.hidden.MOST_IN_A_BUCKET", 20)
        monkeypatch.setattr("number_directory.server.hidden_upkeep.MOST_IN_A_BUCKET", 20)
        world = DirectoryWorld.make(tmp_path, hidden=Hidden(offered=True, smallest_bucket=2, depth=0))
        numbers = [TelephoneNumber(f"1202556{last:04}") for last in range(30)]
        for number in numbers:
            world.publish(number)
            world.allow(ANYONE, number=number)
        world.keeper().fill()
        assert world.directory.storage.hidden.layout().depth == 2
        assert all(look_up(world, *numbers))
        world.close()

    def test_a_bucket_is_bounded(self, small_world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where more is open than a bucket holds, the largest is left out: nobody fills another's bucket up."""
        monkeypatch.setattr("number_directory.server.hidden.LARGEST_BUCKET", 10_000)
        opened(small_world, ANYONE)
        large = TelephoneNumber("13035550100")
        for app in (CHAT, VIDEO):
            uris = [f"https://chat.example/{'u' * 480}{place}" for place in range(12)]
            assert small_world.post("/records", small_world.record_token(large, app, uris=uris)).status_code == 200
        small_world.allow(ANYONE, number=large)
        small_world.keeper().fill()
        found, left_out = look_up(small_world, OWNER, large)
        assert found is not None
        assert left_out is None


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (15, 0), (16, 1), (31, 1), (32, 2), (1 << 40, 20)])
def test_there_are_no_more_buckets_than_numbers_for_them(count: int, expected: int) -> None:
    """With 8 in each at least, 16 numbers may have two buckets; and never are more than twenty bits told."""
    assert deepest_possible(count, 8) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(0, 0), (1, 0), (512, 0), (513, 1), (1024, 1), (1025, 2), (1 << 40, 20)]
)
def test_there_are_as_many_buckets_as_hold_all_numbers(count: int, expected: int) -> None:
    """Half full, since labels do not fall evenly: a bucket that overflows hides numbers from everybody."""
    assert shallowest_possible(count) == expected


@pytest.mark.parametrize(
    ("counts", "depth", "now", "expected"),
    [
        ({}, 0, -1, 0),
        ({0: 100, 1: 100, 2: 100, 3: 100}, 2, 0, 2),
        ({0: 100, 1: 100, 2: 100, 3: 63}, 2, 2, 1),
        ({0: 100, 1: 100, 2: 100, 3: 64}, 2, 2, 2),
        ({0: 100, 1: 100, 2: 100, 3: 79}, 2, 1, 1),
        ({0: 100, 1: 100, 2: 100, 3: 80}, 2, 1, 2),
        ({0: 500}, 2, 2, 0),
    ],
)
def test_each_bucket_has_enough_numbers(counts: dict[int, int], depth: int, now: int, expected: int) -> None:
    """At least 64 where the depth stays or falls, a quarter more where it grows; an empty one counts as none."""
    assert best_depth(counts, depth, 64, now) == expected


class TestAsking:
    """Who may ask, how often, and for how much."""

    def test_each_number_counts_as_new_each_time(self, world: DirectoryWorld) -> None:
        """Nobody can tell whether a number was asked for before, so nothing is free."""
        world.keeper().fill()
        rates = Quotas(Quota(10, 10), Quota(1000, 1000))
        object.__setattr__(world.directory, "config", _with(world, quotas=rates))
        look_up(world, OWNER, STRANGER, caller=CALLER)
        look_up(world, *[OWNER] * 8, caller=CALLER)
        refused = world.post("/hidden/evaluate", world.hidden_token())
        assert refusal(refused) == (429, "quotaExceeded")
        assert int(refused.headers["retry-after"]) > 3600
        assert refusal(world.post("/lookup", world.lookup_token([STRANGER]))) == (429, "quotaExceeded")
        look_up(world, OWNER, caller=STRANGER)

    def test_an_address_pays_for_all(self, world: DirectoryWorld) -> None:
        """Whoever does not sign shares the quota of its address."""
        world.keeper().fill()
        rates = Quotas(Quota(1000, 1000), Quota(3, 3))
        object.__setattr__(world.directory, "config", _with(world, quotas=rates))
        look_up(world, OWNER, STRANGER)
        assert refusal(world.send("/hidden/evaluate", _open(OWNER, STRANGER))) == (429, "quotaExceeded")
        look_up(world, OWNER)

    def test_more_than_may_ever_be_asked_for_at_once_is_told(self, small_world: DirectoryWorld) -> None:
        """To wait would not help."""
        small_world.keeper().fill()
        rates = Quotas(Quota(3, 3), Quota(1000, 1000))
        object.__setattr__(small_world.directory, "config", _with(small_world, quotas=rates))
        elements = HiddenQuestion([OWNER] * 4).blinded
        refused = small_world.post("/hidden/evaluate", small_world.hidden_token(elements))
        assert "at most 3 numbers" in refused.json["detail"]

    def test_what_was_asked_for_openly_stays_free(self, tmp_path: Path) -> None:
        """A hidden lookup takes nothing from a caller's memory of numbers."""
        world = DirectoryWorld.make(tmp_path, metrics=Metrics(access="open"))
        world.keeper().fill()
        numbers = [TelephoneNumber(f"1202556{last:04}") for last in range(90)]
        world.look_up(*numbers)
        rates = Quotas(Quota(1000, 1), Quota(1000, 1))
        object.__setattr__(world.directory, "config", _with(world, quotas=rates))
        for _ in range(5):
            look_up(world, *numbers, caller=CALLER)
        world.look_up(*numbers)
        metrics = world.client.simulate_get("/metrics").text
        assert 'new_numbers_total{by="caller"} 540.0' in metrics
        assert 'directory_hidden_numbers_total{kind="signed"} 450.0' in metrics

    def test_a_question_is_answered_once(self, tmp_path: Path) -> None:
        """Replayed, it costs its signer nothing and tells nobody anything."""
        world = DirectoryWorld.make(tmp_path, metrics=Metrics(access="open"))
        world.keeper().fill()
        token = world.hidden_token()
        assert world.post("/hidden/evaluate", token).status_code == 200
        before = world.client.simulate_get("/metrics").text
        assert refusal(world.post("/hidden/evaluate", token)) == (403, "replayed")
        assert 'new_numbers_total{by="caller"} 1.0' in before
        assert 'new_numbers_total{by="caller"} 1.0' in world.client.simulate_get("/metrics").text

    def test_a_question_is_good_here_and_now(self, small_world: DirectoryWorld) -> None:
        """For a minute, at the directory that it names, from a number that is admitted."""
        small_world.keeper().fill()
        other = small_world.hidden_token(audience="https://other.example")
        assert refusal(small_world.post("/hidden/evaluate", other)) == (403, "wrongAudience")
        late = small_world.hidden_token()
        small_world.clock.advance(timedelta(seconds=61))
        assert refusal(small_world.post("/hidden/evaluate", late)) == (403, "notFresh")

    def test_the_operator_may_want_signatures(self, tmp_path: Path) -> None:
        """Then an unsigned question is refused, and costs nothing."""
        world = DirectoryWorld.make(tmp_path, hidden=Hidden(offered=True, unsigned=False))
        world.keeper().fill()
        assert refusal(world.send("/hidden/evaluate", _open(OWNER))) == (401, "unauthorized")
        look_up(world, OWNER, caller=CALLER)
        world.close()

    def test_buckets_are_paid_for_by_the_address_that_fetches_them(self, world: DirectoryWorld) -> None:
        """Anybody may fetch them, and each is made anew: so many, for which no numbers are taken from the address."""
        world.keeper().fill()
        rates = Quotas(address=Quota(1, 1), buckets=Quota(3, 3))
        object.__setattr__(world.directory, "config", _with(world, quotas=rates))
        etag = world.client.simulate_get("/hidden/buckets/0-0").headers["etag"]
        again = world.client.simulate_get("/hidden/buckets/0-0", headers={"If-None-Match": etag})
        assert again.status_code == 304
        look_up(world, OWNER)
        refused = world.client.simulate_get("/hidden/buckets/0-0")
        assert refusal(refused) == (429, "quotaExceeded")
        assert "buckets" in refused.json["detail"]
        assert int(refused.headers["retry-after"]) > 3600
        assert refusal(world.client.simulate_get("/hidden/buckets/1-0")) == (404, "notFound")
        world.clock.advance(timedelta(hours=8))
        assert bucket(world, Bucket(0, 0))

    @pytest.mark.parametrize("element", [bytes(32), b"\xff" * 32])
    def test_what_is_no_element_is_malformed(self, small_world: DirectoryWorld, element: bytes) -> None:
        """The identity, and bytes that encode nothing (RFC 9497 §2.1, RFC 9496 §4.3.1)."""
        small_world.keeper().fill()
        body = OpenHiddenRequest((element,)).to_json()
        assert refusal(small_world.send("/hidden/evaluate", body)) == (400, "malformed")


class TestTheKey:
    """One key at a time, and none where hidden numbers are not offered."""

    def test_nothing_is_offered_where_the_operator_does_not(self, tmp_path: Path) -> None:
        """No path of it is there, and the description names no key."""
        world = DirectoryWorld.make(tmp_path, hidden=Hidden())
        assert "hidden_key" not in world.client.simulate_get("/directory.json").json
        assert refusal(world.send("/hidden/evaluate", _open(OWNER))) == (404, "notFound")
        assert refusal(world.client.simulate_get("/hidden/buckets")) == (404, "notFound")
        world.close()

    def test_a_missing_key_is_told_with_what_to_do(self, small_world: DirectoryWorld) -> None:
        """A directory does not begin without the key that its description names."""
        (small_world.config.keys.directory / "hidden-numbers.key").unlink()
        with pytest.raises(KeyStoreError, match="hidden-key"):
            open_hidden(small_world.config)

    def test_callers_wait_until_labels_are_there(self, world: DirectoryWorld) -> None:
        """Nobody pays for an answer that could not be used: before the worker's first turn all is busy."""
        for result in (
            world.client.simulate_get("/hidden/buckets"),
            world.client.simulate_get("/hidden/buckets/0-0"),
            world.send("/hidden/evaluate", _open(OWNER)),
        ):
            assert refusal(result) == (503, "directoryBusy")
            assert result.headers["retry-after"] == "10"

    def test_another_key_makes_all_labels_anew(self, world: DirectoryWorld) -> None:
        """Also where the first attempt was cut off in the middle; the old key's front end answers no more."""
        opened(world, ANYONE)
        before = labels(world, Bucket(0, 0))
        path = world.config.keys.directory / "hidden-numbers.key"
        path.write_bytes((world.config.keys.directory / "record-log.key").read_bytes())
        key = open_hidden(world.config)
        assert key is not None
        keeper = world.keeper()
        keeper.key = key
        keeper._begin_anew()
        assert refusal(world.client.simulate_get("/hidden/buckets")) == (503, "directoryBusy")
        keeper.lay_out()
        assert not world.directory.storage.hidden.layout().is_ready
        assert keeper.fill() == 1
        assert refusal(world.client.simulate_get("/hidden/buckets")) == (503, "directoryBusy")
        object.__setattr__(world.directory, "hidden", key)
        found = labels(type(world)(**{**vars(world), "client": world.front_end()}), Bucket(0, 0))
        assert found.keys().isdisjoint(before)


def test_numbers_that_were_open_before_are_given_labels(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database from before hidden numbers brings those that are open to anyone along, and no others."""
    first, steps = tmp_path / "first", Storage.steps
    first.mkdir()
    for name in ("__init__.py", "0001_tables.py"):
        shutil.copy(steps / name, first)
    monkeypatch.setattr(Storage, "steps", first)
    storage = Storage.open(database_url)
    storage.migrate()
    grants = [(ANYONE_OF_ALL, CHAT), (ANYONE_OF_ALL, VIDEO), (of_prefix("1202"), CHAT), (of_token(bytes(32)), CHAT)]
    for place, (grantee, app) in enumerate(grants):
        number = int(OWNER.digits) + max(0, place - 1)
        storage.grants.database.run(
            "INSERT INTO directory_grants (key, app, number, shows) VALUES (?, ?, ?, 3)",
            key_of(grantee, number),
            app,
            number,
        )
    monkeypatch.setattr(Storage, "steps", steps)
    assert "0002_hidden" in storage.migrate()
    made: list[TelephoneNumber] = []
    key = HiddenKey(bytes(32), "directory")
    assert storage.hidden.fill(lambda number: made.append(number) or key.hidden(number), 10) == 1
    assert made == [OWNER]
    storage.close()


# What the directory learns


RANGE = [TelephoneNumber(f"120255501{last:02}") for last in range(100)]
ASKED = RANGE[23]


def test_nothing_that_is_recorded_of_a_question_tells_the_number(
    world: DirectoryWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a hundred numbers, by brute force: none can be told from another in what came, was logged and was kept.

    The database keeps the secret that marks numbers in quotas, so the marks of all hundred are tried as well.
    """
    caplog.set_level("DEBUG")
    world.keeper().fill()
    before = _everything(world)
    question = HiddenQuestion([ASKED])
    body = statement_body(world.hidden_token(question.blinded))
    answer = world.send("/hidden/evaluate", body)
    bucket(world, Bucket(0, 0))
    recorded = caplog.text.encode() + b"".join(_everything(world) - before) + body + answer.content
    marks = world.directory.quotas.marks(number.digits for number in RANGE)
    rows = world.directory.storage.quotas.database.rows("SELECT seen FROM directory_quotas")
    seen = [zlib.decompress(row[0]) for row in rows]
    assert not any(number.digits.encode() in recorded for number in RANGE)
    assert not any(int(number.digits).to_bytes(8, "big") in recorded for number in RANGE)
    assert seen
    assert not any(any(of_caller) for of_caller in seen)
    assert len({mark >> 8 for mark in marks}) > 90  # they would tell the hundred apart, had one been kept
    assert HiddenQuestion([ASKED]).blinded[0] not in recorded


def test_what_a_bucket_tells_the_holder_of_the_key_is_its_leading_bits(tmp_path: Path) -> None:
    """The key's holder rules out the numbers of other buckets: all are left with one bucket, some 1/16 with 16 of them.

    It can compute every number's label, and compares with what the caller asked for: the bucket, never the label. The
    key is a random one, and of 300 numbers 20 are left more or less: the bounds are seven deviations away, and beyond
    one key in a million.
    """
    numbers = [TelephoneNumber(f"12025550{last:03}") for last in range(300)]
    for depth, at_least, at_most in ((0, 300, 300), (4, 2, 50)):
        world = DirectoryWorld.make(
            tmp_path / str(depth), hidden=Hidden(offered=True, smallest_bucket=SMALLEST, depth=depth)
        )
        world.keeper().fill()
        key = world.directory.hidden
        assert key is not None
        asked = Bucket.of(key.hidden(ASKED).label, depth)
        left = [number for number in numbers if Bucket.of(key.hidden(number).label, depth) == asked]
        assert ASKED in left
        assert at_least <= len(left) <= at_most
        world.close()


def test_a_bucket_tells_a_stranger_no_number(world: DirectoryWorld) -> None:
    """Whoever downloads it all finds neither numbers nor records, nor which entries are some number's."""
    opened(world, ANYONE)
    data = bucket(world, Bucket(0, 0))
    assert OWNER.digits.encode() not in data
    assert b"chat.example" not in data
    stranger = HiddenQuestion([STRANGER])
    assert world.directory.hidden is not None
    evaluated = world.directory.hidden.evaluate(stranger.blinded)
    (hidden,) = stranger.finish(evaluated, world.directory.hidden.public_key)
    assert find_in_bucket(data, [hidden]) == {}
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at + 32 : at + 36], "big")
        with pytest.raises(AnswerError):
            hidden.open(data[at + 36 : at + 36 + length])
        at += 36 + length


def _open(*numbers: TelephoneNumber) -> bytes:
    return OpenHiddenRequest(HiddenQuestion(numbers).blinded).to_json()


def _with(world: DirectoryWorld, **settings: object) -> object:
    from msgspec.structs import replace  # noqa: PLC0415

    return replace(world.config, **settings)


def _everything(world: DirectoryWorld) -> set[bytes]:
    """Return all rows of all tables, each as bytes that hold its values as they are."""
    database = world.directory.storage.quotas.database
    tables = ("replays", "quotas", "numbers", "entries", "grants", "hidden", "hidden_layout", "conflicts", "leaves")
    queries = {table: f"SELECT * FROM directory_{table}" for table in tables}  # noqa: S608  # of these names
    return {_bytes([table, *row]) for table, query in queries.items() for row in database.rows(query)}


def _bytes(row: Sequence[object]) -> bytes:
    return b"|".join(
        bytes(value) if isinstance(value, bytes | memoryview) else json.dumps(value).encode() for value in row
    )
