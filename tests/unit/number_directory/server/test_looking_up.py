from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import timedelta
from math import sqrt
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import pytest

from number_directory.access_list import ANYONE, AppAccess, Grant, GrantKind
from number_directory.lookup import OpenLookup
from number_directory.record import SignedRecord
from number_directory.server import looking_up
from number_directory.server.config import Quota, Quotas
from number_directory.statement import statement_body
from stir.telephone_number import NumberPrefix, TelephoneNumber
from tests.fakes.directory_world import CALLER, CHAT, OWNER, STRANGER, VIDEO, DirectoryWorld, accepted, refusal

TOKEN = "a-bearer-token-of-22-or-more"
ABSENT = TelephoneNumber.parse("+12025550124")


@pytest.mark.parametrize(
    ("grant", "sees"),
    [
        (Grant.to_number(CALLER), True),
        (Grant.to_number(STRANGER), False),
        (Grant.to_prefix(NumberPrefix("4420")), True),
        (Grant.to_prefix(NumberPrefix(CALLER.digits)), True),
        (Grant.to_prefix(NumberPrefix("4421")), False),
        (Grant.to_token(TOKEN), False),
        (ANYONE, True),
    ],
)
def test_each_grant_admits_whom_it_names(world: DirectoryWorld, grant: Grant, sees: bool) -> None:
    """A caller sees a record by its number, by a prefix of it, or because anyone does, and not by what it is not."""
    world.publish()
    world.allow(grant)
    assert bool(world.look_up(OWNER).records[OWNER]) is sees


def test_a_bearer_token_admits_whoever_shows_it(world: DirectoryWorld) -> None:
    """A token shows a record to a caller that signs and to one that does not, and only with the token."""
    world.publish()
    world.allow(Grant.to_token(TOKEN))
    assert world.look_up(OWNER, tokens=[TOKEN]).records[OWNER]
    assert world.look_up(OWNER, caller=None, tokens=[TOKEN]).records[OWNER]
    assert not world.look_up(OWNER, caller=None, tokens=[TOKEN[::-1]]).records[OWNER]
    assert not world.look_up(OWNER, caller=None).records[OWNER]


def test_apps_are_granted_one_by_one(world: DirectoryWorld) -> None:
    """An app's own list counts in the place of the default."""
    for app in (CHAT, VIDEO):
        world.publish(app=app)
    apps = {VIDEO: AppAccess(frozenset({Grant.to_number(STRANGER)}))}
    default = AppAccess(frozenset({Grant.to_number(CALLER)}))
    accepted(world.post("/access-lists", world.access_list_token(default=default, apps=apps)))

    def seen(caller: TelephoneNumber) -> list[str]:
        return [SignedRecord.parse(text).app for text in world.look_up(OWNER, caller=caller).records[OWNER]]

    assert seen(CALLER) == [CHAT]
    assert seen(STRANGER) == [VIDEO]


NUMBER, PREFIX, BEARER = Grant.to_number(CALLER), Grant.to_prefix(NumberPrefix("44")), Grant.to_token(TOKEN)


@pytest.mark.parametrize(
    ("allow", "media", "tokens", "shows"),
    [
        ({ANYONE}, None, [], "media"),
        ({ANYONE}, {NUMBER}, [], "media"),
        ({ANYONE}, {Grant.to_number(STRANGER)}, [], "record"),
        ({ANYONE}, set(), [], "record"),
        ({NUMBER}, {PREFIX}, [], "media"),
        ({NUMBER}, {ANYONE}, [], "media"),
        ({NUMBER}, {BEARER}, [], "record"),
        ({NUMBER}, {BEARER}, [TOKEN], "media"),
        ({BEARER}, {NUMBER}, [TOKEN], "media"),
        ({BEARER}, {NUMBER}, [], "nothing"),
        ({BEARER}, {PREFIX}, [TOKEN], "media"),
        ({PREFIX}, {NUMBER}, [], "media"),
    ],
)
def test_media_are_shown_by_a_permission_of_their_own(
    world: DirectoryWorld, allow: set[Grant], media: set[Grant] | None, tokens: list[str], shows: str
) -> None:
    """Whoever sees a record sees its media only where it is granted those too, by whatever combination of grants."""
    world.publish()
    access = AppAccess(frozenset(allow), None if media is None else frozenset(media))
    accepted(world.post("/access-lists", world.access_list_token(default=access)))
    texts = world.look_up(OWNER, tokens=tokens).records[OWNER]
    found = [SignedRecord.parse(text).record.media is not None for text in texts]
    assert found == {"nothing": [], "record": [False], "media": [True]}[shows]


def test_a_new_access_list_counts_at_once(world: DirectoryWorld) -> None:
    """Whom the newest list leaves out sees nothing from then on, and the older list is not taken again."""
    world.publish()
    old = world.access_list_token(seq=1, default=AppAccess(frozenset({ANYONE})))
    accepted(world.post("/access-lists", old))
    assert world.look_up(OWNER).records[OWNER]
    accepted(world.post("/access-lists", world.access_list_token(seq=2)))
    assert not world.look_up(OWNER).records[OWNER]
    assert refusal(world.post("/access-lists", old)) == (409, "outdated")


def test_another_access_list_of_the_same_seq_is_a_conflict(world: DirectoryWorld) -> None:
    """Two lists of one seq: the first counts, and the owner is told."""
    world.allow(Grant.to_number(CALLER))
    result = world.post("/access-lists", world.access_list_token(default=AppAccess(frozenset({ANYONE}))))
    assert refusal(result) == (409, "conflict")
    assert result.json["refused"] in world.own().notices[0].text


def test_an_access_list_may_come_before_the_first_record(world: DirectoryWorld) -> None:
    """What is published later is shown to whom the list says."""
    world.allow(ANYONE)
    world.publish()
    assert world.look_up(OWNER).records[OWNER]


def test_a_hundred_numbers_are_answered_in_their_order(world: DirectoryWorld) -> None:
    """A lookup of a hundred numbers has an answer for each, as asked."""
    numbers = [OWNER, *(TelephoneNumber(f"1303555{index:04}") for index in range(99))]
    world.publish()
    world.allow(ANYONE)
    answer = world.look_up(*numbers)
    assert list(answer.records) == numbers
    assert [number for number, texts in answer.records.items() if texts] == [OWNER]


# Absent and denied


def _answers(world: DirectoryWorld, body: Callable[[TelephoneNumber], bytes]) -> dict[str, bytes]:
    answers = {}
    for what, number in (("absent", ABSENT), ("denied", OWNER)):
        result = world.send("/lookup", body(number))
        assert result.status_code == 200
        answers[what] = result.content.replace(number.e164.encode(), b"+NUMBER")
    return answers


@pytest.mark.parametrize("is_signed", [True, False])
def test_absent_and_denied_have_the_same_bytes(world: DirectoryWorld, is_signed: bool) -> None:
    """But for the number itself, the answers about a number without records and one that denies are equal."""
    world.publish()
    world.publish(app=VIDEO)
    world.allow(Grant.to_number(STRANGER))

    def body(number: TelephoneNumber) -> bytes:
        return statement_body(world.lookup_token([number])) if is_signed else OpenLookup((number,)).to_json()

    answers = _answers(world, body)
    assert answers["absent"] == answers["denied"]


class _Statements:
    """Notes what the database is asked: the statement, how many values it has, and how many rows it finds."""

    def __init__(self, world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[str, int, int]] = []
        database = world.directory.storage._database
        for name in ("rows", "row", "run", "run_soon_durable"):
            monkeypatch.setattr(database, name, self._noting(getattr(database, name)))

    def _noting(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def noting(sql: str, *values: object) -> object:
            found = run(sql, *values)
            self.seen.append((sql, len(values), len(found) if isinstance(found, list) else 1))
            return found

        return noting

    def of(self, act: Callable[[], object]) -> list[tuple[str, int, int]]:
        """Return what was asked while something was done."""
        self.seen.clear()
        act()
        return list(self.seen)


@pytest.mark.parametrize("caller", [CALLER, None])
def test_absent_and_denied_ask_the_database_the_same_and_get_the_same(
    world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch, caller: TelephoneNumber | None
) -> None:
    """A lookup is one statement that looks for keys; of what is absent and of what is denied it finds no row."""
    world.publish()
    world.allow(Grant.to_number(STRANGER), Grant.to_prefix(NumberPrefix("1")), Grant.to_token(TOKEN))
    for number in (ABSENT, OWNER):
        world.look_up(number, caller=caller)  # paid for, so that only the lookup itself is left
    statements = _Statements(world, monkeypatch)
    absent = statements.of(lambda: world.look_up(ABSENT, caller=caller))
    denied = statements.of(lambda: world.look_up(OWNER, caller=caller))
    assert absent == denied
    assert sum("directory_grants" in sql for sql, _, _ in absent) == 1
    assert [rows for sql, _, rows in absent if "directory_grants" in sql] == [0]


@pytest.mark.parametrize("caller", [CALLER, None])
@pytest.mark.parametrize("others", [0, 1, 15, 99])
def test_absent_and_denied_take_sqlite_the_same_steps(
    small_world: DirectoryWorld, caller: TelephoneNumber | None, others: int
) -> None:
    """SQLite's virtual machine executes the same number of instructions for either, alone or among shown and absent."""
    small_world.publish()
    small_world.publish(app=VIDEO)
    small_world.allow(Grant.to_number(STRANGER), Grant.to_prefix(NumberPrefix("1303")))
    mixed = [TelephoneNumber(f"1303555{index:04}") for index in range(others)]
    for number in mixed[:3]:
        small_world.publish(number)
        small_world.allow(ANYONE, number=number)
    database = small_world.directory.storage._database

    def steps(number: TelephoneNumber) -> int:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        connection = database._connections.lend(to_write=True)
        connection.set_progress_handler(step, 1)
        database._connections.take_back(connection)
        names = looking_up.names_of(caller, ())
        small_world.directory.storage.grants.shown([number, *mixed], names, small_world.clock())
        connection.set_progress_handler(None, 0)
        return count

    assert steps(OWNER) == steps(ABSENT) > 0


@pytest.mark.parametrize("is_signed", [True, False])
@pytest.mark.parametrize(("others", "rounds"), [(0, 1200), (99, 250)])
def test_absent_and_denied_take_the_same_time(
    small_world: DirectoryWorld, others: int, rounds: int, *, is_signed: bool
) -> None:
    """Of an absent and a denied number, alone or among shown and absent ones, each takes longer as often as the other.

    They come by turns, so that what else the machine does is shared. That either takes longer is a coin that falls as
    often on either side, give or take five standard deviations (Mann and Whitney's U), or four in a hundred.
    """
    mixed = [TelephoneNumber(f"1303555{index:04}") for index in range(others)]
    for number in mixed[:3]:
        small_world.publish(number)
        small_world.allow(ANYONE, number=number)
    small_world.publish()
    small_world.allow(Grant.to_number(STRANGER))
    times: dict[TelephoneNumber, list[int]] = {ABSENT: [], OWNER: []}
    for turn in range(rounds + 50):
        for number in (ABSENT, OWNER) if turn % 2 else (OWNER, ABSENT):
            asked = [number, *mixed]
            question = (
                statement_body(small_world.lookup_token(asked)) if is_signed else OpenLookup(tuple(asked)).to_json()
            )
            begin = perf_counter_ns()
            looking_up.look_up(small_world.directory, question, "192.0.2.1")
            times[number].append(perf_counter_ns() - begin)
    absent, denied = (sorted(one[50:]) for one in times.values())
    longer = sum(bisect_left(absent, one) + bisect_right(absent, one) for one in denied) / (2 * rounds * rounds)
    deviation = sqrt((2 * rounds + 1) / (12 * rounds * rounds))
    assert abs(longer - 0.5) <= max(0.04, 5 * deviation)


# Who may ask, and how often


def test_a_signed_lookup_is_answered_once(world: DirectoryWorld) -> None:
    """A replay is refused, by another front end too."""
    body = statement_body(world.lookup_token([OWNER]))
    assert world.send("/lookup", body).status_code == 200
    assert refusal(world.send("/lookup", body)) == (403, "replayed")
    assert refusal(world.send("/lookup", body, world.front_end())) == (403, "replayed")


def test_a_lookup_for_another_directory_is_refused(small_world: DirectoryWorld) -> None:
    """What was signed for another directory cannot be passed on to this one."""
    token = small_world.lookup_token([OWNER], audience="https://other.example")
    assert refusal(small_world.post("/lookup", token)) == (403, "wrongAudience")


@pytest.mark.parametrize("seconds", [61, -61])
def test_a_lookup_is_fresh_for_a_minute(small_world: DirectoryWorld, seconds: int) -> None:
    """A lookup that was signed more than a minute ago, or ahead, is refused."""
    token = small_world.lookup_token([OWNER])
    small_world.clock.advance(timedelta(seconds=seconds))
    assert refusal(small_world.post("/lookup", token)) == (403, "notFresh")


def test_quotas_count_new_numbers_and_not_lookups(world: DirectoryWorld) -> None:
    """Numbers that were asked for lately are free; new ones are refused when the bucket is empty, and come back."""
    small = Quotas(caller=Quota(burst=3, per_day=24), address=Quota(burst=1000, per_day=1000))
    limited = DirectoryWorld.make(world.config.folder / "limited", quotas=small)
    numbers = [TelephoneNumber(f"1303555010{index}") for index in range(5)]
    try:
        for _ in range(3):
            for number in numbers[:3]:
                limited.look_up(number)
        result = limited.post("/lookup", limited.lookup_token([numbers[3]]))
        assert refusal(result) == (429, "quotaExceeded")
        assert 0 < int(result.headers["retry-after"]) <= 3600
        limited.clock.advance(timedelta(hours=1))
        limited.look_up(numbers[3])
        assert refusal(limited.post("/lookup", limited.lookup_token([numbers[4]]))) == (429, "quotaExceeded")
        limited.look_up(*numbers[:4])
    finally:
        limited.close()


def test_a_lookup_that_a_quota_refused_may_be_sent_again(tmp_path: Path) -> None:
    """What was not answered has not used its jti up; once it was answered, it has."""
    world = DirectoryWorld.make(tmp_path, quotas=Quotas(caller=Quota(burst=1, per_day=86400)))
    try:
        world.look_up(OWNER)
        body = statement_body(world.lookup_token([ABSENT]))
        assert refusal(world.send("/lookup", body)) == (429, "quotaExceeded")
        world.clock.advance(timedelta(seconds=2))
        assert world.send("/lookup", body).status_code == 200
        assert refusal(world.send("/lookup", body)) == (403, "replayed")
    finally:
        world.close()


def test_many_certificates_of_one_number_are_one_caller(tmp_path: Path) -> None:
    """The quota is the number's, whichever of its certificates, keys and authorities signs."""
    world = DirectoryWorld.make(tmp_path, quotas=Quotas(caller=Quota(burst=2, per_day=1)))
    try:
        numbers = [TelephoneNumber(f"1303555010{index}") for index in range(4)]
        for index, number in enumerate(numbers):
            world.hold(CALLER, world.authority.number(CALLER, serial=50 + index, key_number=10 + index))
            status = world.post("/lookup", world.lookup_token([number])).status_code
            assert status == (200 if index < 2 else 429)
    finally:
        world.close()


def test_nobody_escapes_by_a_forwarding_header(tmp_path: Path) -> None:
    """X-Forwarded-For of whoever is no trusted proxy says nothing about who pays."""
    world = DirectoryWorld.make(tmp_path, quotas=Quotas(address=Quota(burst=1, per_day=1)))
    try:
        for index, expected in enumerate((200, 429, 429)):
            body = OpenLookup((TelephoneNumber(f"1303555010{index}"),)).to_json()
            header = {"X-Forwarded-For": f"198.51.100.{index}"}
            assert world.send("/lookup", body, **header).status_code == expected
    finally:
        world.close()


def test_walking_through_a_prefix_goes_as_fast_as_the_quota_says_and_shows(tmp_path: Path) -> None:
    """Over two days and two front ends, no more numbers are answered than burst and rate allow; the metrics tell."""
    quotas = Quotas(caller=Quota(10**6, 10**6), address=Quota(burst=50, per_day=100))
    world = DirectoryWorld.make(tmp_path, quotas=quotas)
    try:
        front_ends = [world.client, world.front_end()]
        answered, asked = 0, 0
        for hour in range(48):
            for index in range(20):
                number = TelephoneNumber(f"1303{hour:03}{index:04}")
                asked += 1
                body = OpenLookup((number,)).to_json()
                answered += world.send("/lookup", body, front_ends[index % 2]).status_code == 200
            world.clock.advance(timedelta(hours=1))
        passed_for_known = 5  # four in 65536 do by chance
        assert 200 <= answered <= 50 + 2 * 100 + passed_for_known
        counted = _counted(world)
        assert answered - passed_for_known <= counted['directory_new_numbers_total{by="address"}'] <= answered
        assert counted['directory_quota_refusals_total{by="address"}'] == asked - answered
        assert not any("1303" in line for line in counted)
    finally:
        world.close()


def _counted(world: DirectoryWorld) -> dict[str, float]:
    lines = world.directory.metrics.expose(dict).decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_an_ipv6_subscriber_is_one_payer(tmp_path: Path) -> None:
    """All addresses of one /64 share a quota, and another network has its own."""
    world = DirectoryWorld.make(tmp_path, quotas=Quotas(address=Quota(burst=1, per_day=1)))
    try:

        def ask(address: str, number: str) -> int:
            body = OpenLookup((TelephoneNumber(number),)).to_json()
            headers = {"Content-Type": "application/json"}
            return world.client.simulate_post("/lookup", body=body, headers=headers, remote_addr=address).status_code

        assert ask("2001:db8::1", "13035550100") == 200
        assert ask("2001:db8::2", "13035550101") == 429
        assert ask("2001:db8:0:1::1", "13035550101") == 200
    finally:
        world.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"numbers":[]}',
        b'{"numbers":["+12025550123","+12025550123"]}',
        b'{"numbers":["12025550123"]}',
        b'{"statement":"a.b.c"}',
        b'{"statement":"x","numbers":["+12025550123"]}',
        b'{"numbers":["+12025550123"],"more":1}',
        b"\xff\xfe",
        b"[" * 5000,
    ],
)
def test_a_malformed_question_is_told_what_is_wrong(small_world: DirectoryWorld, body: bytes) -> None:
    """Whatever is no question is refused as malformed."""
    assert refusal(small_world.send("/lookup", body)) == (400, "malformed")


def test_every_kind_of_grant_has_a_name_in_the_database() -> None:
    """No kind of grant is forgotten."""
    assert set(GrantKind) == {GrantKind.ANYONE, GrantKind.PREFIX, GrantKind.NUMBER, GrantKind.TOKEN}
