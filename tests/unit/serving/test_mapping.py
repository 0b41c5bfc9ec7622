from __future__ import annotations

import os
from pathlib import Path

import pytest

from serving.mapping import map_file

SIZE = 1 << 20


@pytest.mark.parametrize("before", [0, SIZE, 2 * SIZE])
def test_the_room_of_a_mapped_file_is_taken_when_it_is_made(tmp_path: Path, before: int) -> None:
    """A disk that is full later ends nobody who writes to it, also where an earlier version left holes."""
    path = tmp_path / "table"
    path.touch()
    os.truncate(path, before)
    with path.open("r+b") as file:
        mapped = map_file(file.fileno(), SIZE)
        found = path.stat()
        assert (len(mapped), found.st_size) == (SIZE, SIZE)
        assert found.st_blocks * 512 >= SIZE
        mapped.close()


def test_what_was_there_stays(tmp_path: Path) -> None:
    """A process that starts later finds what others wrote."""
    path = tmp_path / "table"
    path.write_bytes(b"x" * SIZE)
    with path.open("r+b") as file:
        mapped = map_file(file.fileno(), SIZE)
        assert mapped[:] == b"x" * SIZE
        mapped.close()
