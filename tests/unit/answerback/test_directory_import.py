from __future__ import annotations

import pytest

from answerback.commands.directory_server import import_progress
from number_directory.server.importing import Imported, Progress


@pytest.mark.parametrize(
    ("position", "skipped_bytes", "seconds", "said"),
    [
        (500, 0, 10, "importing: 1,000 statements, 50 %, 100 a second, 10 s left"),
        (500, 400, 600, "importing: 5,000 statements, 50 %, 2 a second, 50 min left"),
        (600, 500, 9000, "importing: 6,000 statements, 60 %, 0 a second, 10 h 0 min left"),
        (1000, 0, 10, "importing: 1,000 statements, 100 %, 100 a second, 0 s left"),
        (0, 0, 0, "importing: 1,000 statements, 0 %, 1,000,000 a second, 0 s left"),
    ],
)
def test_an_import_tells_how_fast_it_goes_and_how_long_it_will_take(
    position: int, skipped_bytes: int, seconds: float, said: str
) -> None:
    """The rate is of this run, and the time that is left follows from what this run has read; the count is of all."""
    done = Imported(taken=990, refused=10, skipped=10 * skipped_bytes, skipped_bytes=skipped_bytes)
    assert import_progress(Progress(position, 1000, done), seconds) == said
