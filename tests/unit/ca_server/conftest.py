from __future__ import annotations

from tests.fakes.storages import postgresql_server, storage, storage_url

__all__ = ["postgresql_server", "storage", "storage_url"]
