"""A judge of records that needs no trust store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from number_directory.record import SignedRecord
from number_directory.resolver import Belief, Judgement
from stir.certificate import NumberCertificate
from stir.jws import Chain
from stir.telephone_number import TelephoneNumber
from tests.fakes.small_pki import root


@dataclass
class RootJudge:
    """Believes whatever some roots certified, in time; looks at nothing that the real trust store would look at too."""

    at: list[datetime] = field(default_factory=list)
    roots: list[x509.Certificate] = field(default_factory=lambda: [root().certificate])

    def judge_record(self, signed: SignedRecord, number: TelephoneNumber, at: datetime) -> Judgement:
        """Judge by the chain, the number and the signature."""
        judgement = self.judge_chains(signed.chains, at)
        if not judgement.is_verified:
            return judgement
        leaf = NumberCertificate.read(signed.chain[0])
        if {leaf.number, signed.number} != {number}:
            return Judgement(Belief.REFUSED, "certified-number", "it is another number's")
        signed.verify(leaf.public_key)
        return judgement

    def judge_chains(self, chains: Sequence[Chain], at: datetime) -> Judgement:
        """Judge by the last certificates."""
        self.at.append(at)
        if not chains[0][0].not_valid_before_utc <= at <= chains[0][0].not_valid_after_utc:
            return Judgement(Belief.REFUSED, "validity", "it is not in time")
        if all(chain[-1] not in self.roots for chain in chains):
            return Judgement(Belief.UNVERIFIED, "anchor", "no anchor leads to it")
        return Judgement(Belief.VERIFIED, "anchor", "it is fine", "example-ca", "trust.toml:5")
