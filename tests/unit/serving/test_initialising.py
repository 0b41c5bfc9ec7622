from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import ConfigurationError
from serving.initialising import passphrase_settings, proxy_setting, quoted, staged, write_synced


def make(folder: Path) -> None:
    """Make two files in a folder, or fail where one says so."""
    with staged(folder, last="settings") as draft:
        (draft / "settings").write_text("all is there")
        (draft / "a").mkdir()


@pytest.mark.parametrize("exists", [True, False])
def test_a_new_folder_is_whole(tmp_path: Path, exists: bool) -> None:
    """What was made stands in its place, and nothing else does; a new file system's own folder is no hindrance."""
    folder = tmp_path / "deep" / "new"
    if exists:
        (folder / "lost+found").mkdir(parents=True)
    make(folder)
    assert {path.name for path in folder.iterdir()} - {"lost+found"} == {"settings", "a"}
    assert [path.name for path in folder.parent.iterdir()] == ["new"]


@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_leaves_nothing(tmp_path: Path, exists: bool) -> None:
    """Neither a draft nor a half-made folder is left behind."""
    folder = tmp_path / "new"
    if exists:
        folder.mkdir()

    def fail() -> None:
        with staged(folder, last="settings") as draft:
            (draft / "settings").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [path.name for path in tmp_path.rglob("*")] == (["new"] if exists else [])


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder that holds something is refused, and so is what is no folder."""
    make(tmp_path / "new")
    with pytest.raises(ConfigurationError, match=r"new is not empty \(a\), and nothing is overwritten"):
        make(tmp_path / "new")
    with pytest.raises(ConfigurationError, match="is no folder"):
        make(tmp_path / "new" / "settings")


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of the file system are told as such, before the first file and after it."""

    def fail(**_options: object) -> NoReturn:
        raise OSError(30, "Read-only file system")

    def fill() -> None:
        with staged(tmp_path / "new", last="settings"):
            raise OSError(28, "No space left on device")

    with pytest.raises(ConfigurationError, match="new cannot be written: No space left"):
        fill()
    monkeypatch.setattr(tempfile, "mkdtemp", fail)
    with pytest.raises(ConfigurationError, match="new cannot be made: Read-only"):
        make(tmp_path / "new")


@given(st.text())
def test_any_text_is_quoted_or_refused(text: str) -> None:
    """A quoted text reads back the same in TOML; control characters have no place in settings."""
    try:
        line = f"a = {quoted(text)}"
    except ConfigurationError:
        assert not text.isprintable()
        return
    assert tomllib.loads(line) == {"a": text}


@pytest.mark.parametrize(
    ("passphrase", "file", "read"),
    [
        (b"x", None, {}),
        (b"x", Path("/p"), {"passphrase_file": "/p"}),
        (None, None, {"unencrypted": True}),
        (None, Path("/p"), {"unencrypted": True}),
    ],
)
def test_keys_without_a_passphrase_say_so(passphrase: bytes | None, file: Path | None, read: dict[str, object]) -> None:
    """What the operator chose is set, all else stands there as a comment, with a warning."""
    text = passphrase_settings(passphrase, file, variable="A_WORD", warning="can do harm")
    assert tomllib.loads(text) == read
    assert '#passphrase_variable = "A_WORD"' in text
    assert ("THE KEYS ARE NOT ENCRYPTED: whoever reads their files can do harm." in text) == (passphrase is None)


def test_a_proxy_is_named_where_one_must_stand() -> None:
    """For https without TLS of one's own; for a local server it is a comment."""
    assert tomllib.loads(proxy_setting("https://a.example")) == {"trusted_proxies": ["127.0.0.1"]}
    assert tomllib.loads(proxy_setting("http://127.0.0.1")) == {}


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """The new content stands in its place, and no draft is left."""
    (tmp_path / "a").write_text("old")
    write_synced(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"new")]
