from __future__ import annotations

from pathlib import Path

import pytest

from policies.precedence import Layer, LayerKind
from tests.fakes.sealed_log import SealedLog
from tests.fakes.small_pki import Authority, Held
from trust_store import Outcome, Rule, TrustHome, TrustStore, loading
from trust_store.editing import add_anchor, add_log
from trust_store.errors import TrustFileError
from trust_store.loading import StoreLayer


@pytest.fixture
def app(tmp_path: Path, root: Authority) -> TrustHome:
    """Return what an app ships: the root for numbers of London, and stricter settings."""
    home = TrustHome.beside(tmp_path / "app" / "trust.toml")
    add_anchor(home, root.anchor("shipped"))
    return home


def store(home: TrustHome, app: TrustHome | None = None) -> TrustStore:
    """Load the user's store with the app's defaults."""
    return TrustStore.load(home.trust_file, defaults=None if app is None else app.trust_file)


def test_an_apps_defaults_count_where_the_user_said_nothing(home: TrustHome, app: TrustHome, held: Held) -> None:
    """The verdict names the app's own file in full."""
    found = store(home, app).judge(held.call())
    assert (found.outcome, found.anchor) == (Outcome.VERIFIED, "shipped")
    assert found.source == f"{app.trust_file}:5"
    assert store(home).judge(held.call()).outcome is Outcome.UNVERIFIED


def test_the_user_overrides_what_an_app_ships(home: TrustHome, app: TrustHome, held: Held, root: Authority) -> None:
    """By an entry for the same anchor, a setting, a limit, or altogether."""
    with app.trust_file.open("a") as file:
        file.write('prefixes = ["+44"]\n\n[settings]\nscts = 2\n')
    assert store(home, app).judge(held.call()).rule is Rule.ANCHOR_NUMBERS
    add_anchor(home, root.anchor("mine"))
    assert store(home, app).judge(held.call()).rule is Rule.LOGGED
    with home.trust_file.open("a") as file:
        file.write("\n[settings]\nscts = 0\n")
    assert store(home, app).judge(held.call()).anchor == "mine"
    home.trust_file.write_text("[settings]\napp_defaults = false\n")
    assert store(home, app).anchors == ()
    sha256 = root.anchor().sha256
    home.trust_file.write_text(f'[[limit]]\nsha256 = "{sha256}"\npurposes = ["message"]\n')
    found = store(home, app).explain(held.call())
    assert found.verdict.rule is Rule.ANCHOR_NUMBERS
    assert store(home, app).anchors[0].terms.source_of("purposes") == "trust.toml:3"


def test_logs_of_two_layers_are_put_together(home: TrustHome, app: TrustHome) -> None:
    """One that both name counts once; without the defaults, the app's do not count."""
    log, other = SealedLog().trusted(), SealedLog("other-log").trusted()
    add_log(home, log)
    add_log(app, log)
    add_log(app, other)
    assert [one.name for one in store(home, app).logs] == ["example-log", "other-log"]
    with home.trust_file.open("a") as file:
        file.write("\n[settings]\napp_defaults = false\n")
    assert [one.name for one in store(home, app).logs] == ["example-log"]


def test_logs_that_share_a_shard_are_refused(home: TrustHome, app: TrustHome) -> None:
    """The two layers call it differently: nobody could say whose name counts."""
    log = SealedLog()
    add_log(home, log.trusted())
    grown = log.trusted("Somebody else")
    add_log(app, type(grown)("again", grown.operator, "", grown.data + b" "))
    with pytest.raises(TrustFileError, match="is one of example-log as well"):
        store(home, app)


def test_a_quorum_may_name_an_anchor_of_another_layer(home: TrustHome, app: TrustHome) -> None:
    """And none that there is not, unless a list may bring it."""
    home.trust_file.parent.mkdir(parents=True)
    home.trust_file.write_text('[[quorum]]\ngroup = "shipped"\n')
    assert store(home, app).quorums.quorums[0].group == "shipped"
    with pytest.raises(TrustFileError, match="'shipped' is no anchor and no group"):
        store(home)
    own = loading.of_file(home, LayerKind.LOCAL)
    parts = loading.combined(home, [own, StoreLayer(Layer(LayerKind.LIST, "list"))])
    assert not parts.quorums.can_be_met(parts.quorums.quorums[0], [])


def test_an_apps_defaults_that_are_damaged_are_told(home: TrustHome, app: TrustHome) -> None:
    """With the app's own path."""
    app.trust_file.write_text("[[anchor]]\n")
    with pytest.raises(TrustFileError, match=str(app.trust_file)):
        store(home, app)
    app.trust_file.write_text(f'[[anchor]]\nname = "a"\noperator = "A"\nsha256 = "{"0" * 64}"\n')
    with pytest.raises(TrustFileError, match=f"{app.trust_file}:1: the certificate of a is missing"):
        store(home, app)


def test_a_layer_tells_which_files_it_was_read_from(home: TrustHome, app: TrustHome) -> None:
    """So that a change of any of them is noticed."""
    home.trust_file.parent.mkdir(parents=True)
    home.trust_file.write_text('[[feed]]\nfile = "ports.csv"\n')
    feed = home.trust_file.parent / "ports.csv"
    feed.write_text("")
    assert loading.load(home, app.trust_file).files == (home.trust_file, feed, app.trust_file)
