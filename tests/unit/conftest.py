from __future__ import annotations

from tests.fakes.storages import database_url, postgresql_server

__all__ = ["database_url", "postgresql_server"]
