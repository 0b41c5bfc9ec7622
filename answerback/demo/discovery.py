"""Being found: Alice publishes where she is reached, for Bob only, and a directory first keeps to it, then lies.

Each does what an app does: the resolver finds the directory by a signed map, asks it alone, and has each record judged
by the trust store of whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_urlsafe

from answerback.demo.impostor import record_of_nobody, with_other_uris
from answerback.demo.liar import LyingDirectory
from answerback.demo.servers import Directory, NumberMap
from answerback.demo.steps import CameOut
from answerback.directory_asking import Asked, StoreJudge
from number_directory.access_list import AppAccess, Grant
from number_directory.client import Signer
from number_directory.lookup import LookupRequest
from number_directory.owning import NewRecord, Owner
from number_directory.record import Medium
from number_directory.record_memory import RecordMemory
from number_directory.resolver import Listing, Place, Resolver
from number_directory.routing.replica import MapReplica
from number_directory.statement import MEDIA_TYPE, statement_body
from stir.telephone_number import TelephoneNumber
from transparency.transport import HttpTransport, Question
from trust_store import TrustStore
from trust_store.fetching import fetch

CHAT, VIDEO = "chat.example", "video.example"
NOBODY = TelephoneNumber.parse("+12025550199")
"""A number that publishes nothing anywhere."""

_CHATS_AT, _SEEN_AT = "https://chat.example/u/alice", "https://video.example/alice"
_FORMERLY_AT = "https://video.example/alices-lost-phone"
_MALLORYS = ("https://video.example/mallory",)


@dataclass
class Discovery:
    """Alice, Bob and Mallory at two directories, with a map that says that Alice is at one of them."""

    alice: Signer
    bob: Signer
    mallory: Signer
    directory: Directory
    number_map: NumberMap
    bobs_map: Path
    bobs_trust: Path
    bobs_memory: Path
    _former: str = field(default="", repr=False)
    _before: bytes = field(default=b"", repr=False)
    _video: str = field(default="", repr=False)

    def published(self) -> CameOut:
        """Have Alice publish two apps for Bob only, one of them anew; note before what Mallory was shown."""
        self._before = self._shown_to_mallory(self.alice.number)
        client = Asked().connect(Place(self.directory.operator.url))
        key = self.alice.key.public_key()
        owner = Owner(client, self.alice, lambda one: one == key)
        owner.grant(lambda old: replace(old, default=AppAccess(frozenset({Grant.to_number(self.bob.number)}))))
        former, _ = owner.publish(NewRecord(VIDEO, (_FORMERLY_AT,), frozenset({Medium.AUDIO, Medium.VIDEO})))
        self._former = former.token
        accepted = [
            owner.publish(NewRecord(CHAT, (_CHATS_AT,), frozenset({Medium.MESSAGE}))),
            owner.publish(NewRecord(VIDEO, (_SEEN_AT,), frozenset({Medium.AUDIO, Medium.VIDEO}))),
        ]
        self._video = accepted[-1][0].token
        description = client.description()
        proved = [client.check(record, taken.receipt, description) for record, taken in accepted if taken.receipt]
        if len(proved) < len(accepted):
            return CameOut("published", "no receipt", "the directory has both, and its record log not yet")
        return CameOut("published", "receipt", f"receipts prove that {description.name}'s record log has both")

    def map_fetched(self) -> CameOut:
        """Have Bob's app fetch the map, and see which directory it names."""
        replica = MapReplica.create(self.bobs_map, self.number_map.operator.url, self.number_map.root)
        update = replica.update()
        place = Asked(map_folder=self.bobs_map).routing().place_of(self.alice.number)
        if place is None or place.url != self.directory.operator.url:
            return CameOut("elsewhere", "map", "the map names another directory than Alice's")
        why = f"version {update.version} of the map is signed as its root says; {update.moved} bytes were moved for it"
        return CameOut(f"at {self.directory.operator.name}", "map", why)

    def found(self) -> CameOut:
        """Have Bob's app resolve Alice's number, and pick the app that takes video."""
        listings = self._resolved()
        worst = next((one for one in listings if not one.judgement.is_verified), None)
        if worst is not None:
            return _judged(worst, "")
        for one in listings:
            if one.record is not None and Medium.VIDEO in (one.record.record.media or ()):
                return _judged(one, f"of {len(listings)} apps Bob picks {one.app}: ")
        return CameOut("no video", "map", f"{len(listings)} apps were shown, and none takes video")

    def hidden(self) -> CameOut:
        """Compare what Mallory is shown of Alice's number, byte by byte, with what a number without records gets."""
        shown = self._shown_to_mallory(self.alice.number)
        nobody = self._shown_to_mallory(NOBODY).replace(NOBODY.digits.encode(), self.alice.number.digits.encode())
        if shown != self._before or shown != nobody:
            return CameOut("something", "bytes", "the answers for Alice's number and for one without records differ")
        why = f"the same {len(shown)} bytes as before she published, and as for a number that nobody has published"
        return CameOut("nothing", "bytes", why)

    def lied_with_her_certificate(self, liar: LyingDirectory) -> CameOut:
        """Have the directory swap Alice's video record for one of its own, with her certificate beside it."""
        return self._lied(liar, with_other_uris(self._video, _MALLORYS))

    def lied_with_its_own(self, liar: LyingDirectory) -> CameOut:
        """Have the directory swap it for one under an authority that it has made up."""
        return self._lied(liar, record_of_nobody(self._video, _MALLORYS))

    def lied_with_her_former_record(self, liar: LyingDirectory) -> CameOut:
        """Have the directory show what Alice has replaced: Bob's app has seen the newer one."""
        return self._lied(liar, self._former)

    def _lied(self, liar: LyingDirectory, lie: str) -> CameOut:
        liar.shows = {self.alice.number: (lie,)}
        listings = self._resolved()
        return _judged(listings[0], "") if listings else CameOut("nothing", "map", "no record was shown")

    def _resolved(self) -> tuple[Listing, ...]:
        """Return what Bob's app finds of Alice's number, each with the verdict of Bob's trust store."""
        asked = Asked(map_folder=self.bobs_map)
        judge = StoreJudge(TrustStore.load(self.bobs_trust, fetch=fetch))
        with RecordMemory(self.bobs_memory) as memory:
            resolver = Resolver(asked.connect, judge, self.bob, memory=memory)
            (found,) = resolver.resolve(asked.routing(), [self.alice.number])
        return found.listings

    def _shown_to_mallory(self, number: TelephoneNumber) -> bytes:
        """Return the bytes that the directory answers Mallory, who signs with his own number."""
        client, mallory = Asked().connect(Place(self.directory.operator.url)), self.mallory
        request = LookupRequest(client.url, client.clock(), token_urlsafe(16), (number,))
        body = statement_body(request.sign(mallory.key, mallory.chain))
        return HttpTransport().ask(Question(f"{client.url}/lookup", body, MEDIA_TYPE)).body


def _judged(one: Listing, before: str) -> CameOut:
    judgement = one.judgement
    return CameOut(judgement.belief.value, judgement.rule, f"{before}{judgement.reason}")
