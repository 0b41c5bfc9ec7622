from __future__ import annotations

from pathlib import Path

import pytest

from trust_store import TrustHome


def test_a_named_home_holds_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With ANSWERBACK_HOME all files stand in one folder."""
    monkeypatch.setenv("ANSWERBACK_HOME", str(tmp_path))
    home = TrustHome.of_user()
    assert home == TrustHome.beside(tmp_path / "trust.toml")
    assert {path.parent for path in (home.trust_file, home.anchors, home.revocation_lists)} == {tmp_path}


def test_without_a_named_home_the_users_own_folders_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings, cache and memory stand where the system keeps such things."""
    monkeypatch.delenv("ANSWERBACK_HOME", raising=False)
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    home = TrustHome.of_user()
    assert home.trust_file.name == "trust.toml"
    assert home.trust_file.parent.name == home.revocation_lists.parent.name == "answerback"
    assert home.anchors.parent == home.trust_file.parent
    assert len({home.trust_file.parent, home.revocation_lists.parent, home.seen_messages.parent}) == 3
