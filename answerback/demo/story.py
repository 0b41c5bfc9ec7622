"""The story that `answerback demo` tells, and holds against what it said would come of each step.

Everything that the story needs is real: authorities, logs and directories are processes with databases of their own, an
SMS crosses SMPP to reach a phone, and each verdict is the trust store's. Only the mobile network and the people are
played.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from acme_client import CallbackCodes, CodePrompt, EnrolledCertificate, Enrolment, Store
from acme_client.errors import NotProved
from acme_client.revoke import HolderRevocation, Reason
from answerback.demo.discovery import Discovery
from answerback.demo.errors import DemoError
from answerback.demo.impostor import certificate_outside_its_numbers, with_another_time
from answerback.demo.interruption import Interruption
from answerback.demo.liar import LyingDirectory
from answerback.demo.mobile_network import MobileNetwork
from answerback.demo.servers import Authority, Directory, Log, NumberMap, Operator, Server
from answerback.demo.steps import CameOut, Step
from answerback.demo.stranger import everything_shown, numbers_in
from number_directory.client import Signer
from policies.terms import Terms
from stir import passport
from stir.passport import Passport
from stir.telephone_number import TelephoneNumber
from transparency.client import LogClient
from transparency.log_description import LogDescription
from transparency.monitor import Known, Policy, Standing
from transparency.owner import OwnLabel, owner_of
from transparency.watch_store import WatchStore
from transparency.watching import DoorKey, NumberWatch, ShardLook
from trust_store import Anchor, Call, TrustHome, TrustStore
from trust_store.editing import add_anchor, add_log, remove_anchor
from trust_store.fetching import fetch
from trust_store.logs import TrustedLog

ALICE = TelephoneNumber.parse("+12025550123")
BOB = TelephoneNumber.parse("+12025550187")
MALLORY = TelephoneNumber.parse("+13035550142")

INDEXED_WITHIN = 20.0
LOOK_AGAIN = 0.2

CERTIFIED = "certified"
REFUSED = "refused"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """What the story is played on. Cedar is only a folder with keys in it; all else is served."""

    folder: Path
    network: MobileNetwork
    alder: Authority
    birch: Authority
    cedar: Authority
    logs: tuple[Log, ...]
    directories: tuple[Directory, ...]
    number_map: NumberMap


@contextlib.contextmanager
def stage(tell: Tell, interruption: Interruption) -> Iterator[Stage]:
    """Set the stage in a folder that is gone afterwards, with every process that was started on it."""
    with tempfile.TemporaryDirectory(prefix="answerback-demo-") as name, contextlib.ExitStack() as running:
        folder = Path(name)
        tell("A mobile network starts: a real SMSC that speaks SMPP, and phones for Alice, Bob and Mallory.")
        with interruption.held():
            network = running.enter_context(MobileNetwork())
        with interruption.held():
            made = _made(folder, network, tell)
        servers: tuple[Server, ...] = (*made.logs, made.alder, made.birch, *made.directories, made.number_map)
        for server in servers:
            with interruption.held():
                running.enter_context(server)
        for server in servers:
            server.wait_until_ready()
            tell(f"{server.operator.name} answers at {server.operator.url}, with its own keys.")
        yield made


def _made(folder: Path, network: MobileNetwork, tell: Tell) -> Stage:
    """Make everything that serves, as many at a time as the machine has processors."""

    def authority(name: str, *prefixes: str) -> Authority:
        return Authority(folder / name.lower(), Operator.of(name), network.port, prefixes)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tell("Two operators who have nothing to do with each other set up an authority each: Alder and Birch.")
        tell("A third, Cedar, was only ever certified for numbers in +1 303.")
        cedar = pool.submit(authority, "Cedar", "+1303")
        alder, birch = pool.map(authority, ("Alder", "Birch"))
        tell("Two more run a public log each, Oak and Pine. Alder and Birch show every certificate to both first.")
        logs = pool.map(lambda name: Log(folder / name.lower(), Operator.of(name), [alder, birch]), ("Oak", "Pine"))
        tell("Two run a directory of where numbers are reached, Maple and Rowan; Willow publishes the map of them.")
        maple, rowan = pool.map(
            lambda name: Directory(folder / name.lower(), Operator.of(name), [alder, birch]), ("Maple", "Rowan")
        )
        entries = {"+1202*": maple, "+1303*": maple, ALICE.e164: rowan}
        willow = pool.submit(NumberMap, folder / "willow", Operator.of("Willow"), [maple, rowan], entries)
        both = tuple(logs)
        alder.log_to(both)
        birch.log_to(both)
        return Stage(folder, network, alder, birch, cedar.result(), both, (maple, rowan), willow.result())


class Story:
    """Plays the steps in order; each is kept in `steps` with what came of it."""

    def __init__(self, on: Stage, tell: Tell) -> None:
        """Prepare to play on a stage."""
        self.steps: list[Step] = []
        self._on = on
        self._tell = tell
        self._bobs_trust = TrustHome.beside(on.folder / "bob" / "trust.toml")
        self._held: dict[TelephoneNumber, EnrolledCertificate] = {}
        self._alarming: list[bytes | None] = []

    def play(self) -> None:
        """Play the whole story."""
        self._enrolments()
        self._calls()
        self._attacks()
        self._discovery()
        self._rerouting()
        self._curiosity()

    def _enrolments(self) -> None:
        alder, birch = self._on.alder, self._on.birch
        self._step("Alice's app enrols her number at Alder", CERTIFIED, lambda: self._enrol(ALICE, alder))
        self._step("Bob's app enrols his number at Birch", CERTIFIED, lambda: self._enrol(BOB, birch))
        self._step(
            "Mallory enrols his own number at Birch, as anybody may", CERTIFIED, lambda: self._enrol(MALLORY, birch)
        )

    def _calls(self) -> None:
        self._tell(
            "Bob chooses whom to believe: he adds Alder, Birch and Cedar to his trust store, if both logs know it."
        )
        for server in self._on.logs:
            name, data = server.operator.name.lower(), server.description.read_bytes()
            add_log(self._bobs_trust, TrustedLog(name, server.operator.company, "", data))
        for authority in (self._on.alder, self._on.birch, self._on.cedar):
            self._believe(authority)
        token = self._signed(ALICE, ALICE)
        self._step("Alice calls Bob, who believes Alder", "verified", lambda: self._judged(token))
        self._tell("Bob takes Alder out of his trust store. No directory and no vendor has a say in that.")
        remove_anchor(self._bobs_trust, _anchor_name(self._on.alder))
        self._step("The same call, now that Bob does not", "unverified", lambda: self._judged(token))
        self._believe(self._on.alder)
        self._step("The same call, once Bob believes Alder again", "verified", lambda: self._judged(token))

    def _attacks(self) -> None:
        self._step("Mallory asks Alder for Alice's number, and guesses the code", REFUSED, self._guessed)
        self._step(
            "Mallory calls as Alice, with the certificate of his own number",
            REFUSED,
            lambda: self._judged(self._signed(ALICE, MALLORY)),
        )
        old = self._signed(ALICE, ALICE, age=timedelta(minutes=10))
        self._step("Mallory plays back what Alice signed ten minutes ago", REFUSED, lambda: self._judged(old))
        self._step(
            "Mallory writes the present time into it",
            REFUSED,
            lambda: self._judged(with_another_time(old, datetime.now(UTC))),
        )
        self._step(
            "Mallory steals Cedar's key, and certifies Alice's number with it",
            REFUSED,
            lambda: self._judged(self._signed_under_cedar()),
        )

    def _discovery(self) -> None:
        rowan = self._on.directories[-1]
        at = self._discovered_by_bob(rowan)
        self._step(
            "Alice publishes a chat app and a video app at Rowan, for Bob to see only", "published", at.published
        )
        self._step("Bob's app fetches the map, and asks it where Alice is", "at Rowan", at.map_fetched)
        self._step("Bob's app asks Rowan, and picks video", "verified", at.found)
        self._step("Mallory asks Rowan for Alice's number", "nothing", at.hidden)
        self._tell("Rowan is sold to Mallory. Its answers come from the same URL, and none is honest any more.")
        rowan.stop()
        with LyingDirectory(rowan.operator.url) as liar:
            self._step(
                "Rowan shows Bob a record of its own, with Alice's certificate beside it",
                REFUSED,
                lambda: at.lied_with_her_certificate(liar),
            )
            self._step(
                "Rowan shows it under an authority that it has made up",
                "unverified",
                lambda: at.lied_with_its_own(liar),
            )
            self._step(
                "Rowan shows Bob where Alice was before: a record of hers that she has replaced",
                REFUSED,
                lambda: at.lied_with_her_former_record(liar),
            )

    def _discovered_by_bob(self, directory: Directory) -> Discovery:
        alice, bob, mallory = (
            Signer(held.number, held.key(), held.chain()) for held in map(self._held.__getitem__, (ALICE, BOB, MALLORY))
        )
        bobs = self._on.folder / "bob"
        trust = self._bobs_trust.trust_file
        return Discovery(alice, bob, mallory, directory, self._on.number_map, bobs / "map", trust, bobs / "memory")

    def _rerouting(self) -> None:
        birch, phone_of = self._on.birch, self._on.network
        self._step("Alice's app looks for her number in both logs", "all known", self._watched)
        self._tell("Somebody in the mobile network now sends Alice's SMS to Mallory. No authority can know that.")
        phone_of.reroute(ALICE, MALLORY)
        self._step(
            "Mallory gets a certificate for Alice's number from Birch",
            CERTIFIED,
            lambda: self._enrol(ALICE, birch, thief=MALLORY),
        )
        stolen = self._held.pop(MALLORY)
        self._step("Mallory calls Bob as Alice, for the moment", "verified", lambda: self._judged(_token(stolen)))
        self._step("Alice's app looks into the logs again", "alarm", self._watched)
        self._tell("Alice has her operator end the rerouting, proves her number to Birch, and revokes what it issued.")
        phone_of.reroute(ALICE, None)
        self._step("Alice revokes the certificate that she never asked for", "revoked", self._revoked)
        later = timedelta(minutes=10)
        self._step(
            "Mallory calls once more, when Bob's app has asked for news of revocations (ten minutes later)",
            REFUSED,
            lambda: self._judged(_token(stolen, -later), later),
        )

    def _curiosity(self) -> None:
        self._step(
            "A stranger reads both logs whole, and tries all thousand numbers from +12025550000 on",
            "found none",
            self._searched,
        )

    def _step(self, title: str, told: str, play: Callable[[], CameOut]) -> None:
        begun = time.monotonic()
        came_out = play()
        step = Step(title, told, came_out.outcome, came_out.rule, came_out.why, round(time.monotonic() - begun, 3))
        self.steps.append(step)
        self._tell(f"{title}: {step.came_out}. {step.why[:1].upper()}{step.why[1:]}.")

    # What the people and their apps do.

    def _enrol(self, number: TelephoneNumber, authority: Authority, thief: TelephoneNumber | None = None) -> CameOut:
        """Enrol a number, for its owner or for a thief who reads the SMS."""
        reader = thief or number
        phone = self._on.network.phone(reader)
        codes = CallbackCodes(lambda _prompt: phone.wait_for_sms())
        held = Enrolment(ca=authority.index_url, number=number, keys=self._store(reader.digits), codes=codes).run()
        self._held[reader] = held
        why = f"the code came to {reader.masked} by SMS; the certificate is good until {held.not_after:%d %B %Y}"
        return CameOut(CERTIFIED, "sms-code", why)

    def _guessed(self) -> CameOut:
        phone = self._on.network.phone(ALICE)
        told = ""

        def guess(prompt: CodePrompt) -> str:
            nonlocal told
            told = told or phone.wait_for_sms()
            return "0" * (prompt.digits or 0)

        try:
            Enrolment(
                ca=self._on.alder.index_url,
                number=ALICE,
                keys=self._store("mallory-as-alice"),
                codes=CallbackCodes(guess),
            ).run()
        except NotProved as error:
            return CameOut(REFUSED, "attempts", f"{error}; the SMS went to Alice, who is warned by it")
        return CameOut(CERTIFIED, "attempts", "the guess was right")

    def _believe(self, authority: Authority) -> None:
        terms = Terms(
            name=_anchor_name(authority), operator=authority.operator.company, source="", scts=len(self._on.logs)
        )
        add_anchor(self._bobs_trust, Anchor(terms, x509.load_pem_x509_certificate(authority.anchor.read_bytes())))

    def _signed(self, orig: TelephoneNumber, holder: TelephoneNumber, age: timedelta = timedelta()) -> str:
        """Return a token for a call from `orig` to Bob, signed with the key and certificate of `holder`."""
        held = self._held[holder]
        return passport.sign(_calling_bob(orig, age), held.key(), chain=held.chain())

    def _signed_under_cedar(self) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        chain = certificate_outside_its_numbers(self._on.cedar.folder, ALICE, key)
        return passport.sign(_calling_bob(ALICE), key, chain=chain)

    def _judged(self, token: str, later: timedelta = timedelta()) -> CameOut:
        """Return what Bob's phone says, now or later, of a call that the network shows as coming from Alice."""
        store = TrustStore.load(self._bobs_trust.trust_file, fetch=fetch)
        verdict = store.judge(Call(token, orig=ALICE, dest=BOB, at=datetime.now(UTC) + later))
        return CameOut(verdict.outcome.value, verdict.rule.value, verdict.reason)

    def _watched(self) -> CameOut:
        """Return what Alice's monitor tells once both logs have indexed what they took."""
        held = self._held[ALICE]
        watch = NumberWatch(
            logs=[LogClient.of(log) for log in self._logs],
            owner=owner_of(ALICE, [held.chain()]),
            door_key=DoorKey(held.chain(), held.key()),
            store=WatchStore(self._on.folder / "apps" / ALICE.digits),
            policy=Policy(),
            clock=lambda: int(time.time()),
        )
        looks = self._looked(watch)
        alarms = [alarm for look in looks for alarm in look.alarms]
        if alarms:
            self._alarming = [known.certificate for look in looks for known in look.known.values() if _is_new(known)]
            return CameOut("alarm", alarms[0].kind.value, alarms[0].text)
        logged = sum(len(look.known) for look in looks)
        return CameOut("all known", "own", f"{logged} entries are under her label, each for a certificate of hers")

    def _looked(self, watch: NumberWatch) -> Sequence[ShardLook]:
        """Look again and again until both logs have indexed all their entries, which takes them a second."""
        deadline = time.monotonic() + INDEXED_WITHIN
        while True:
            looks = watch.look()
            if all(look.size == look.indexed for look in looks) or any(look.alarms for look in looks):
                return looks
            if time.monotonic() > deadline:
                msg = f"the logs did not index their entries: {'; '.join(t for look in looks for t in look.troubles)}"
                raise DemoError(msg)
            time.sleep(LOOK_AGAIN)

    def _revoked(self) -> CameOut:
        phone = self._on.network.phone(ALICE)
        found = next(der for der in self._alarming if der is not None)
        HolderRevocation(
            certificate=x509.load_der_x509_certificate(found),
            ca=self._on.birch.index_url,
            keys=self._store(ALICE.digits),
            codes=CallbackCodes(lambda _prompt: phone.wait_for_sms()),
            reason=Reason.KEY_COMPROMISE,
        ).run()
        return CameOut(
            "revoked", "holder", "she proved the number to Birch by SMS, and Birch signed a new revocation list"
        )

    def _searched(self) -> CameOut:
        candidates = [TelephoneNumber(f"1202555{last:04}") for last in range(1000)]
        found: list[TelephoneNumber] = []
        for server, log in zip(self._on.logs, self._logs, strict=True):
            shown = everything_shown(server.public)
            if not any(label in shown for label in self._labels(log)):
                msg = f"what {log.name} shows does not even hold Alice's own label: nothing was searched"
                raise DemoError(msg)
            found += numbers_in(shown, log, candidates)
        if found:
            return CameOut(f"found {len(found)}", "traces", f"{found[0].masked} can be told from the public data")
        return CameOut("found none", "traces", "only the log's key makes labels of numbers; Alice's own label is there")

    def _labels(self, log: LogDescription) -> list[bytes]:
        """Return Alice's labels in a log, which her certificate tells her."""
        owner = owner_of(ALICE, [self._held[ALICE].chain()])
        return [OwnLabel.from_sct(shard, logged).label for shard, logged in owner.logged_by(log)]

    @property
    def _logs(self) -> list[LogDescription]:
        return [LogDescription.from_json(log.description.read_bytes()) for log in self._on.logs]

    def _store(self, owner: str) -> Store:
        return Store(self._on.folder / "apps" / owner)


def _token(held: EnrolledCertificate, age: timedelta = timedelta()) -> str:
    """Return a token for a call to Bob from the number of a certificate, signed with its key."""
    return passport.sign(_calling_bob(held.number, age), held.key(), chain=held.chain())


def _is_new(known: Known) -> bool:
    return known.standing is Standing.UNKNOWN


def _anchor_name(authority: Authority) -> str:
    return authority.operator.name.lower()


def _calling_bob(orig: TelephoneNumber, age: timedelta = timedelta()) -> Passport:
    return Passport(orig=orig, dest=(BOB.digits,), issued_at=int((datetime.now(UTC) - age).timestamp()))
