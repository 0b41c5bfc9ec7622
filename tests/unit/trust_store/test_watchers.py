"""Witnesses and auditors in `trust.toml`: who watches the logs for the user."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from tests.fakes.sealed_log import SealedLog, witness
from transparency.cosignature import MlDsa44Cosigner
from transparency.signed_note import Ed25519Signer
from trust_store import TrustHome, TrustStore
from trust_store import editing as edit
from trust_store.entries import AuditorEntry, WitnessEntry
from trust_store.errors import LogError, TrustFileError

KEY = witness().verifier.format()
POST_QUANTUM = MlDsa44Cosigner("witness.example", MLDSA44PrivateKey.generate()).verifier.format()
AUDITOR = Ed25519Signer(
    "auditor.example", Ed25519PrivateKey.from_private_bytes(sha256(b"auditor").digest())
).verifier.format()
URL = "https://auditor.example/audited"


def test_a_witness_is_added_and_removed(home: TrustHome) -> None:
    """One of either kind of key; what else stands in the file stays."""
    home.trust_file.parent.mkdir()
    home.trust_file.write_text("# mine\n")
    edit.add_witness(home, WitnessEntry("library", "Town Library", KEY))
    edit.add_witness(home, WitnessEntry("library-pq", "Town Library", POST_QUANTUM))
    found = TrustStore.load(home.trust_file).witnesses
    assert [(one.name, one.operator, one.key.format()) for one in found] == [
        ("library", "Town Library", KEY),
        ("library-pq", "Town Library", POST_QUANTUM),
    ]
    edit.remove_witness(home, "library")
    edit.remove_witness(home, "library-pq")
    assert home.trust_file.read_text() == "# mine\n"
    with pytest.raises(LogError, match=r"has no witness 'library': `answerback trust witness list`"):
        edit.remove_witness(home, "library")


def test_an_auditor_is_added_and_removed(home: TrustHome) -> None:
    """With the logs that it audits, which must be there, and may not go before it."""
    log = SealedLog("north").trusted()
    edit.add_log(home, log)
    edit.add_auditor(home, AuditorEntry("watch", "Watchers", AUDITOR, f"{URL}/", (log.name,)))
    (found,) = TrustStore.load(home.trust_file).auditors
    assert (found.name, found.operator, found.key.format(), found.url, found.logs) == (
        "watch",
        "Watchers",
        AUDITOR,
        URL,
        (log.name,),
    )
    with pytest.raises(LogError, match="remove that auditor first"):
        edit.remove_log(home, log.name)
    edit.remove_auditor(home, "watch")
    edit.remove_log(home, log.name)
    assert TrustStore.load(home.trust_file).auditors == ()


@pytest.mark.parametrize(
    ("name", "key"), [("library", POST_QUANTUM), ("other", KEY)], ids=["of one name", "of one key"]
)
def test_one_witness_is_not_added_twice(home: TrustHome, name: str, key: str) -> None:
    """Nor one of another key under a name that is taken: nobody could say which counts."""
    edit.add_witness(home, WitnessEntry("library", "Town Library", KEY))
    with pytest.raises(LogError, match="has the witness library already"):
        edit.add_witness(home, WitnessEntry(name, "Other", key))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (AuditorEntry("a", "A", KEY, URL), "this is no auditor's key"),
        (AuditorEntry("a", "A", "nonsense", URL), "this is no auditor's key"),
        (AuditorEntry("a", "A", AUDITOR, "auditor.example"), "url"),
        (AuditorEntry("a", "A", AUDITOR, f"{URL}?x"), "url"),
        (AuditorEntry("a", "A", AUDITOR, URL, ("nowhere",)), "there is no"),
        (AuditorEntry("Not A Name", "A", AUDITOR, URL), "name"),
        (WitnessEntry("w", "W", AUDITOR), "this is no witness's key"),
        (WitnessEntry("w", "W\n", KEY), "plain text"),
    ],
)
def test_what_cannot_be_is_not_written(home: TrustHome, entry: WitnessEntry | AuditorEntry, said: str) -> None:
    """A file that could not be read afterwards would leave the user without a store."""
    edit.add_witness(home, WitnessEntry("library", "Town Library", POST_QUANTUM))
    before = home.trust_file.read_bytes()
    with pytest.raises(TrustFileError, match=said):
        edit.add_auditor(home, entry) if isinstance(entry, AuditorEntry) else edit.add_witness(home, entry)
    assert home.trust_file.read_bytes() == before
