from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies.terms import Deny, Purpose, Settings
from policies.transitions import Transition, TransitionKind, Transitions
from stir.certificate_chain import read_pem_chain
from stir.telephone_number import NumberPrefix
from tests.fakes import small_pki
from tests.fakes.sealed_log import SealedLog
from tests.fakes.small_pki import CALLER, NOW, Authority
from trust_store import KnownLogs, TrustHome, TrustStore, loading
from trust_store.editing import add_anchor, add_deny, add_log, add_quorum
from trust_store.entries import DenyEntry, GroupEntry, QuorumEntry
from trust_store.errors import MovingError, TrustFileError
from trust_store.moving import exported, import_export, parts_of, pem


@pytest.fixture
def full(home: TrustHome, root: Authority) -> TrustHome:
    """Return a store with something of everything."""
    log = SealedLog().trusted()
    add_log(home, log)
    add_anchor(home, root.anchor("one", prefixes=(NumberPrefix.parse("+1202"),), logs=(log.name,)))
    add_anchor(home, small_pki.root("Two", key_number=40).anchor("two", purposes=(Purpose.CALL,)))
    add_deny(home, DenyEntry(number=CALLER.e164, note="why"))
    add_quorum(home, QuorumEntry("both"), GroupEntry("both", 2, ("one", "two")))
    with home.trust_file.open("a") as file:
        file.write('\n# ports of the week\n[[feed]]\nfile = "ports.csv"\n\n[settings]\nscts = 1\n')
    (home.trust_file.parent / "ports.csv").write_text(f"{CALLER.e164},2026-05-01,port\n")
    return home


@pytest.fixture
def elsewhere(tmp_path: Path) -> TrustHome:
    """Return another device."""
    return TrustHome.beside(tmp_path / "elsewhere" / "trust.toml")


def test_a_store_is_the_same_on_another_device(full: TrustHome, elsewhere: TrustHome) -> None:
    """Every constraint survives, comments too."""
    data = exported(full)
    assert import_export(elsewhere, data, replace=False) is None
    assert elsewhere.trust_file.read_bytes() == full.trust_file.read_bytes()
    one, other = loading.load(full), loading.load(elsewhere)
    assert [(a.terms, a.sha256) for a in one.anchors] == [(a.terms, a.sha256) for a in other.anchors]
    assert (one.denies, one.quorums, one.settings, one.transitions) == (
        other.denies,
        other.quorums,
        other.settings,
        other.transitions,
    )
    assert exported(elsewhere) == data
    assert [anchor.terms.name for anchor in parts_of(data).anchors] == ["one", "two"]


def test_an_empty_store_can_be_moved(home: TrustHome, elsewhere: TrustHome) -> None:
    """It believes nobody there either."""
    import_export(elsewhere, exported(home), replace=False)
    assert loading.load(elsewhere).anchors == ()


def test_a_store_that_is_there_stays_unless_it_is_to_be_replaced(full: TrustHome, elsewhere: TrustHome) -> None:
    """And then it is kept beside the new one."""
    add_deny(elsewhere, DenyEntry(prefix="+1900"))
    former = elsewhere.trust_file.read_bytes()
    with pytest.raises(MovingError, match="--replace"):
        import_export(elsewhere, exported(full), replace=False)
    assert elsewhere.trust_file.read_bytes() == former
    kept = import_export(elsewhere, exported(full), replace=True)
    assert kept is not None
    assert kept.read_bytes() == former


def test_a_feed_from_elsewhere_is_not_exported(full: TrustHome, tmp_path: Path) -> None:
    """It could not be put in its place on another device."""
    (tmp_path / "far.csv").write_text("")
    with full.trust_file.open("a") as file:
        file.write(f'\n[[feed]]\nfile = "{tmp_path / "far.csv"}"\n')
    with pytest.raises(MovingError, match="put it there first"):
        exported(full)


def changed(data: bytes, **members: object) -> bytes:
    """Return an export with something else in it."""
    return json.dumps(json.loads(data) | members).encode()


def test_what_is_no_whole_export_is_refused(full: TrustHome, elsewhere: TrustHome) -> None:
    """And nothing is written."""
    data = exported(full)
    sha256 = loading.load(full).anchors[0].sha256
    broken: list[tuple[bytes, type[Exception], str]] = [
        (b"", MovingError, "no export"),
        (b"\xff", MovingError, "no export"),
        (changed(data, more=1), MovingError, "no export"),
        (changed(data, format="other"), MovingError, "format 'other'"),
        (changed(data, anchors={}), TrustFileError, "is missing"),
        (changed(data, anchors={"../x": ""}), MovingError, "no export"),
        (changed(data, feeds={"../../x": ""}), MovingError, "no export"),
        (changed(data, anchors=json.loads(data)["anchors"] | {sha256: "x"}), TrustFileError, "is not the certificate"),
        (changed(data, trust_toml="[[anchor]"), TrustFileError, "TOML"),
    ]
    for one, error, told in broken:
        with pytest.raises(error, match=told):
            import_export(elsewhere, one, replace=False)
    assert not elsewhere.trust_file.exists()


def test_a_huge_export_is_refused(elsewhere: TrustHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is read."""
    monkeypatch.setattr("trust_store.moving.LARGEST_EXPORT", 10)
    with pytest.raises(MovingError, match="at most"):
        import_export(elsewhere, b"x" * 11, replace=False)


def test_pem_holds_the_certificates_where_nothing_is_lost(root: Authority) -> None:
    """For software that knows nothing else."""
    store = TrustStore([root.anchor()])
    assert read_pem_chain(pem(store, lossy=False)) == (root.certificate,)


LOSSES = [
    ({"prefixes": (NumberPrefix.parse("+1202"),), "scts": 0}, {}, "prefixes, scts of example-ca"),
    ({}, {"denies": [Deny("x", number=CALLER)]}, "1 denies"),
    ({}, {"settings": Settings(call_seconds=5)}, "your settings"),
    ({}, {"logs": KnownLogs([SealedLog().trusted()])}, "1 logs"),
    (
        {},
        {"transitions": Transitions.of([Transition(CALLER, NOW, TransitionKind.PORT, "x")])},
        "1 number transitions",
    ),
]


@pytest.mark.parametrize(("terms", "parts", "told"), LOSSES)
def test_pem_is_refused_where_the_users_word_would_be_lost(
    root: Authority, terms: dict[str, object], parts: dict[str, object], told: str
) -> None:
    """Unless that is wanted; what would be lost is told."""
    store = TrustStore([root.anchor(**terms)], **parts)  # type: ignore[arg-type]
    with pytest.raises(MovingError, match=f"would lose: {told}. To lose that, give --lossy"):
        pem(store, lossy=False)
    assert read_pem_chain(pem(store, lossy=True)) == (root.certificate,)
