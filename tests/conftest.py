from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A slow machine fails no property; in CI the same examples are tried every time.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "local")


@pytest.fixture(scope="session", autouse=True)
def home_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep every test out of the keys, certificates and trust store of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANSWERBACK_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("ANSWERBACK_DEBUG", raising=False)
        yield
