"""A number's life at random, held to a model: whatever happens to it, each caller is shown what counts, and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from number_directory.access_list import ANYONE, AppAccess, Grant, Showing, grants_of
from number_directory.record import SignedRecord
from number_directory.server.number_event import EventKind, NumberEvent
from number_directory.server.number_events import obey
from number_directory.server.revocation import Settled, end_revoked
from number_directory.server.unadmitted import AdmissionKeeper
from policies.terms import Terms
from stir.telephone_number import NumberPrefix, TelephoneNumber
from tests.fakes.directory_world import CALLER, OWNER, STRANGER, URL, DirectoryWorld, refusal
from tests.fakes.small_pki import CRL_URL, Authority, Held, root
from tests.unit.number_directory.server.test_ending import crl, lists
from trust_store import Anchor, TrustHome
from trust_store.editing import add_anchor, remove_anchor

STEPS = 60
APPS = ("a.example", "b.example", "c.example")
TOKEN = "a-bearer-token-of-22-or-more"
GRANTS = (ANYONE, Grant.to_number(CALLER), Grant.to_prefix(NumberPrefix("44")), Grant.to_token(TOKEN))
VIEWERS: tuple[tuple[TelephoneNumber | None, tuple[str, ...]], ...] = (
    (None, ()),
    (None, (TOKEN,)),
    (CALLER, ()),
    (STRANGER, ()),
)
SETTLES_IN = timedelta(minutes=6)
SECOND_URL = "https://second.example/0.crl"


@dataclass(eq=False)
class Certificate:
    """A certificate of the number, by one of two authorities."""

    by: str
    serial: int
    held: Held


@dataclass
class Stated:
    """What counts of an app: a record, or its withdrawal."""

    seq: int
    by: Certificate
    expires_at: datetime
    is_live: bool


@dataclass
class Listed:
    """The access list that counts."""

    seq: int
    by: Certificate
    access: AppAccess


@dataclass
class Gone:
    """The move away that counts, and whom it is shown to."""

    by: Certificate
    until: datetime
    shown_to: set[int]


@dataclass
class Life:
    """A number that signs, moves, is robbed and changes hands; what it is expected to show; and the directory."""

    world: DirectoryWorld
    random: Random
    second: Authority
    certificates: list[Certificate] = field(default_factory=list)
    admitted: set[str] = field(default_factory=lambda: {"example-ca", "second"})
    revoked: set[Certificate] = field(default_factory=set)
    ported_at: datetime | None = None
    stated: dict[str, Stated] = field(default_factory=dict)
    listed: Listed | None = None
    gone: Gone | None = None
    signed: int = 0

    @property
    def authorities(self) -> dict[str, tuple[Authority, str]]:
        """Return who certifies the number, and where each lists its revocations."""
        return {"example-ca": (self.world.authority, CRL_URL), "second": (self.second, SECOND_URL)}

    # What is expected

    def counts(self, by: Certificate) -> bool:
        """Tell whether what a certificate signed may come in, but for a revocation that nobody has heard of."""
        leaf = by.held.chain[0]
        is_newer = self.ported_at is None or leaf.not_valid_before_utc > self.ported_at
        return by.by in self.admitted and is_newer and self.world.clock() < leaf.not_valid_after_utc

    def is_away(self) -> bool:
        """Tell whether callers are sent on."""
        return self.gone is not None and self.world.clock() < self.gone.until

    def live(self) -> dict[str, Stated]:
        """Return the records that somebody may see."""
        now = self.world.clock()
        return {
            app: one
            for app, one in self.stated.items()
            if one.is_live and one.by.by in self.admitted and now < one.expires_at
        }

    def opens(self, by: Certificate) -> bool:
        """Tell whether the access list opens what a certificate's key signed."""
        listed = self.listed
        if listed is None or listed.by.by not in self.admitted or not listed.access.allow:
            return False
        return listed.by.held.key.public_key() == by.held.key.public_key()

    def due(self, viewer: int) -> dict[str, tuple[int, bool]]:
        """Return which apps a viewer sees, by which `seq`, and whether with their media."""
        number, tokens = VIEWERS[viewer]
        access = AppAccess() if self.listed is None else self.listed.access
        how = access.shows(grants_of(number, tokens))
        return {
            app: (one.seq, how is Showing.WITH_MEDIA)
            for app, one in self.live().items()
            if how is not Showing.NOTHING and self.opens(one.by)
        }

    # What happens

    def enrol(self) -> None:
        """Get another certificate, with one of two keys."""
        name, now, serial = self.random.choice(["example-ca", "second"]), self.world.clock(), len(self.certificates)
        authority, url = self.authorities[name]
        held = authority.number(
            OWNER,
            serial=100 + serial,
            key_number=self.random.choice([51, 52]),
            not_before=now - timedelta(minutes=30),
            not_after=now + timedelta(days=self.random.choice([1, 3, 7])),
            crl_url=url,
        )
        self.certificates.append(Certificate(name, 100 + serial, held))

    def sign(self) -> tuple[Certificate, int]:
        """Have the number use one of its latest certificates; return it with a `seq` that is mostly a new one."""
        by = self.random.choice(self.certificates[-4:])
        self.world.hold(OWNER, by.held)
        self.signed += 1
        return by, max(1, self.signed + self.random.randrange(-4, 3))

    def send(self, path: str, token: str, by: Certificate, *, may_move: bool = False) -> bool:
        """Send a statement, and tell whether it was taken as the newest; make sure that it may be taken or refused."""
        may_be_taken = self.counts(by) and (may_move or not self.is_away())
        result = self.world.post(path, token)
        if result.status_code == 200:
            assert may_be_taken
            return bool(result.json["result"] == "newer")
        assert not may_be_taken or by in self.revoked or refusal(result)[1] in {"outdated", "conflict"}, result.text
        return False

    def publish(self) -> None:
        """Publish or withdraw a record."""
        by, seq = self.sign()
        app, uris = (
            self.random.choice(APPS),
            self.random.choice([(), ("https://a.example/1",), ("https://a.example/2",)]),
        )
        life = timedelta(hours=self.random.choice([2, 20]))
        life = min(life, by.held.chain[0].not_valid_after_utc - self.world.clock())
        if life > timedelta() and self.send(
            "/records", self.world.record_token(app=app, seq=seq, uris=uris, life=life), by
        ):
            assert app not in self.stated or seq > self.stated[app].seq
            self.stated[app] = Stated(seq, by, self.world.clock() + life, is_live=bool(uris))

    def allow(self) -> None:
        """Set an access list."""
        by, seq = self.sign()
        grants = frozenset(self.random.sample(GRANTS, self.random.randrange(3)))
        media = self.random.choice([None, frozenset(), frozenset(self.random.sample(GRANTS, 1))]) if grants else None
        access = AppAccess(grants, media)
        if self.send("/access-lists", self.world.access_list_token(seq=seq, default=access), by):
            assert self.listed is None or seq > self.listed.seq
            self.listed = Listed(seq, by, access)

    def leave(self) -> None:
        """Move to another directory."""
        by, seq = self.sign()
        shown_to = {viewer for viewer in range(len(VIEWERS)) if self.due(viewer)}
        if self.gone is not None and self.is_away():
            shown_to = self.gone.shown_to
        if not self.opens(by):
            shown_to = set()
        if self.send("/moves", self.world.move_token("https://other.example", seq=seq), by, may_move=True):
            days = self.world.config.records.forwarding_days
            for one in self.live().values():
                one.is_live = False
            self.gone = Gone(by, self.world.clock() + timedelta(days=days), shown_to)

    def come_back(self) -> None:
        """Move to this directory."""
        by, seq = self.sign()
        token = self.world.move_token(URL, origin="https://other.example", seq=seq)
        if self.send("/moves", token, by, may_move=True):
            self.gone = None

    def be_revoked(self) -> None:
        """Have one of the latest certificates revoked."""
        self.revoked.add(self.random.choice(self.certificates[-4:]))

    def be_ported(self) -> None:
        """Go to another holder, who enrols."""
        now = self.ported_at = self.world.clock()
        obey(self.world.directory, NumberEvent(OWNER, EventKind.PORTED, now))
        self.stated, self.listed, self.gone = {}, None, None
        self.world.clock.advance(timedelta(minutes=40))
        self.enrol()

    def change_admission(self) -> None:
        """Take an authority off the operator's list, or put it back."""
        home = TrustHome.beside(self.world.config.admission)
        name = self.random.choice(["example-ca", "second"])
        if name in self.admitted:
            remove_anchor(home, name)
        else:
            add_anchor(home, Anchor(Terms(name, name, "trust.toml:9"), self.authorities[name][0].certificate))
        self.admitted ^= {name}

    def wait(self) -> None:
        """Let hours or days pass."""
        self.world.clock.advance(self.random.choice([timedelta(hours=1), timedelta(hours=3), timedelta(days=2)]))

    def settle(self, keeper: AdmissionKeeper, settled: Settled) -> None:
        """Have the worker do all that it does, and expect what follows."""
        self.world.clock.advance(SETTLES_IN)
        published = {
            url: crl(authority, self.world.clock(), *(one.serial for one in self.revoked if one.by == name))
            for name, (authority, url) in self.authorities.items()
        }
        keeper.follow()
        end_revoked(self.world.directory, lists(self.world, published), settled)
        keeper.follow()
        for one in self.stated.values():
            one.is_live &= one.by not in self.revoked
        if self.listed is not None and self.listed.by in self.revoked:
            self.listed = Listed(self.listed.seq, self.listed.by, AppAccess())
        if self.gone is not None and self.gone.by in self.revoked:
            self.gone = None
        if self.is_away():  # what was hidden when the number left ends when its authority is back
            for one in self.live().values():
                one.is_live = False

    def check(self) -> None:
        """Make sure that each viewer is shown what is due to it, and nothing else."""
        for viewer, (number, tokens) in enumerate(VIEWERS):
            answer = self.world.look_up(OWNER, caller=number, tokens=tokens)
            records = map(SignedRecord.parse, answer.records[OWNER])
            shown = {one.app: (one.sequence, one.record.media is not None) for one in records}
            assert shown == ({} if self.is_away() else self.due(viewer))
            sent_on = self.gone is not None and self.is_away() and viewer in self.gone.shown_to
            assert bool(answer.moves) == sent_on


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_callers_see_what_counts(tmp_path: Path, seed: int) -> None:
    """Records, lists and moves of two authorities' certificates that are replaced, revoked, put off and ported."""
    world = DirectoryWorld.make(tmp_path)
    life = Life(world, Random(seed), root("Second Root", key_number=31))  # noqa: S311  # the same each time
    home, third = TrustHome.beside(world.config.admission), root("Third Root", key_number=32)
    for name, authority in (("second", life.second), ("third", third)):
        add_anchor(home, Anchor(Terms(name, name, "trust.toml:9"), authority.certificate))
    for number in (CALLER, STRANGER):
        world.hold(number, third.number(number, not_after=world.clock() + timedelta(days=999)))
    world.clock.advance(timedelta(minutes=1))
    deeds: list[Callable[[], None]] = [life.be_revoked, life.be_ported, life.leave, life.come_back, life.wait]
    deeds += [life.publish] * 8 + [life.allow] * 4 + [life.enrol] * 2 + [life.change_admission] * 4
    keeper, settled = AdmissionKeeper(world.directory), Settled()
    try:
        for _ in range(3):
            life.enrol()
        for _ in range(STEPS):
            life.random.choice(deeds)()
            life.settle(keeper, settled)
            life.check()
    finally:
        world.close()
