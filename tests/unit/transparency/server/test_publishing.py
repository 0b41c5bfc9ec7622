from __future__ import annotations

from pathlib import Path

import pytest

from transparency.server.errors import HistoryError, PublishingError
from transparency.server.publishing import FilePublisher, delivery_of

TILE = "a/tile/0/000.p/1"


@pytest.fixture
def publisher(tmp_path: Path) -> FilePublisher:
    """Return a publisher of an empty folder."""
    return FilePublisher(tmp_path / "public", tmp_path / "staging")


def test_what_was_written_is_read(publisher: FilePublisher) -> None:
    """Files are there as they were written, and what was not is None."""
    publisher.write({TILE: b"x", "a/checkpoint": b"1"})
    publisher.write({"a/checkpoint": b"2"})
    assert (publisher.read(TILE), publisher.read("a/checkpoint")) == (b"x", b"2")
    assert publisher.read("a/tile/0/001") is None
    assert publisher.read("a/tile") is None
    assert publisher.sizes("a/") == {TILE: 1, "a/checkpoint": 1}


def test_parts_of_a_file_are_read(publisher: FilePublisher) -> None:
    """Each part begins and ends where it was asked for, or where the file ends; no file has no parts."""
    path = "a/index/segment/00"
    publisher.write({path: b"0123456789"})
    assert publisher.read_parts(path, [(0, 1), (3, 4), (8, 5), (20, 1)]) == [b"0", b"3456", b"89", b""]
    assert publisher.size(path) == 10
    for missing in ("a/index/segment/01", f"{path}/01"):
        assert publisher.read_parts(missing, [(0, 1)]) is None
        assert publisher.size(missing) is None


def test_a_tile_has_one_content(publisher: FilePublisher) -> None:
    """A tile that is there is never overwritten with something else, and nothing else of that write is done."""
    publisher.write({TILE: b"x"})
    publisher.write({TILE: b"x"})
    with pytest.raises(HistoryError, match="other content"):
        publisher.write({"a/tile/0/001": b"y", TILE: b"y"})
    assert publisher.read(TILE) == b"x"
    assert publisher.read("a/tile/0/001") is None


def test_files_and_folders_are_deleted(publisher: FilePublisher) -> None:
    """What is there is deleted, a folder with all in it; what is not is no matter."""
    publisher.write({TILE: b"x", "a/tile/0/000.p/2": b"y", "a/checkpoint": b"z"})
    publisher.delete(["a/tile/0/000.p/", "a/tile/0/005.p/", "a/nothing"])
    assert publisher.sizes("a/") == {"a/checkpoint": 1}


def test_staged_bundles_are_kept_apart(publisher: FilePublisher) -> None:
    """What is staged is not among the published files, and is found by the beginning of its name."""
    assert publisher.staged_names("a@") == ()
    publisher.unstage(["a@1"])
    for name in ("a@1", "a@2", "a-b@1"):
        publisher.stage(name, name.encode())
    assert publisher.staged_names("a@") == ("a@1", "a@2")
    publisher.unstage(["a@1", "a@2"])
    assert [publisher.staged(name) for name in ("a@1", "a@2", "a-b@1")] == [None, None, b"a-b@1"]
    assert publisher.read("a@1") is None


@pytest.mark.parametrize("path", ["../x", "a//b", "/etc/passwd", "a/./b", "", "a\0b"])
def test_no_path_leads_outside(publisher: FilePublisher, path: str) -> None:
    """A path that is none of a log's is refused, whatever was to be done there."""
    with pytest.raises(PublishingError, match="no path"):
        publisher.read(path)
    with pytest.raises(PublishingError, match="no path"):
        publisher.write({path: b"x"})


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Where a file stands in the way, the operator is told which."""
    (tmp_path / "public").write_text("in the way")
    with pytest.raises(PublishingError, match="public"):
        FilePublisher(tmp_path / "public", tmp_path / "staging").write({TILE: b"x"})


@pytest.mark.parametrize(
    ("path", "type_", "kept"),
    [
        ("a/tile/0/000", "application/octet-stream", True),
        ("a/tile/entries/000.p/7", "application/octet-stream", True),
        ("a/index/segment/0123456789abcdef", "application/octet-stream", True),
        ("a/index/checkpoint", "text/plain; charset=utf-8", False),
        ("a/checkpoint", "text/plain; charset=utf-8", False),
    ],
)
def test_files_are_delivered_as_tlog_tiles_says(path: str, type_: str, kept: bool) -> None:
    """Tiles and the files of the index are for good; checkpoints for a moment."""
    delivery = delivery_of(path)
    assert delivery.content_type == type_
    assert ("immutable" in delivery.cache_control) == kept
