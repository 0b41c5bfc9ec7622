from __future__ import annotations

from tests.fakes.storages import database_url

__all__ = ["database_url"]
