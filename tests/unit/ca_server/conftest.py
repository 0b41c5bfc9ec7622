from __future__ import annotations

from tests.fakes.storages import storage, storage_url

__all__ = ["storage", "storage_url"]
