"""Objects in an S3 bucket, with the headers that a CDN in front needs. boto3 is imported here only.

The label index is read with each update, some thousand small parts of it. So this machine keeps a copy of its segments.
What is missing there is fetched; what is damaged there is noticed by whoever reads it, as it would be anywhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3  # type: ignore[import-untyped]  # has no stubs
import botocore.config  # type: ignore[import-untyped]  # as boto3
import botocore.exceptions  # type: ignore[import-untyped]  # as boto3

from transparency.server.config import Publishing
from transparency.server.errors import HistoryError, PublishingError
from transparency.server.publishing.file_publisher import FilePublisher
from transparency.server.publishing.publisher import BINARY, delivery_of, is_segment, is_tile

_STAGING = "staging/"
_AT_ONCE = 16
_DELETED_AT_ONCE = 1000
_MISSING = frozenset({"NoSuchKey", "404"})
_THERE_ALREADY = frozenset({"PreconditionFailed", "412"})


class S3Publisher:
    """Publishes below `prefix` in a bucket, and stages there too, below `staging/`: what waits there is public soon.

    Copies of the index's segments are in the folder `index_copy`.
    """

    def __init__(self, settings: Publishing) -> None:
        """Connect; credentials come from where boto3 looks for them."""
        self._bucket = settings.bucket or ""
        self._prefix = settings.prefix
        self._copies = FilePublisher(settings.index_copy, settings.index_copy)
        retries = botocore.config.Config(
            retries={"mode": "standard", "max_attempts": 4},
            connect_timeout=5,
            read_timeout=30,
            max_pool_connections=_AT_ONCE,
        )
        self._client: Any = boto3.client(
            "s3", endpoint_url=settings.endpoint_url, region_name=settings.region, config=retries
        )
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="s3")

    def read(self, path: str) -> bytes | None:
        """Return the object at a path, None where there is none."""
        with _publishing_errors(path):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)
                content: bytes = answer["Body"].read()
            except botocore.exceptions.ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise
            return content

    def read_parts(self, path: str, parts: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """Return parts of an object that never changes, from this machine's copy, which is made where there is none."""
        found = self._copies.read_parts(path, parts)
        if found is not None:
            return found
        data = self.read(path)
        if data is None:
            return None
        self._copies.write({path: data})
        return [data[start : start + length] for start, length in parts]

    def size(self, path: str) -> int | None:
        """Return how many bytes an object has, None where there is none."""
        with _publishing_errors(path):
            try:
                size: int = self._client.head_object(Bucket=self._bucket, Key=self._prefix + path)["ContentLength"]
            except botocore.exceptions.ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise
            return size

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write objects, several at a time; see Publisher."""
        for _ in self._pool.map(self._put, files.keys(), files.values()):
            pass
        self._copies.write({path: data for path, data in files.items() if is_segment(path)})

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects, or with `/` at the end of the path all below it."""
        for path in paths:
            keys = [key for key, _ in self._objects(path)] if path.endswith("/") else [self._prefix + path]
            with _publishing_errors(path):
                for start in range(0, len(keys), _DELETED_AT_ONCE):
                    batch = [{"Key": key} for key in keys[start : start + _DELETED_AT_ONCE]]
                    self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": batch, "Quiet": True})
            self._copies.delete([path])

    def sizes(self, folder: str) -> dict[str, int]:
        """Return how many bytes each object below a folder has; copies of what is no more are deleted on the way."""
        sizes = {key.removeprefix(self._prefix): size for key, size in self._objects(folder)}
        self._copies.delete(path for path in self._copies.sizes(folder) if path not in sizes)
        return sizes

    def stage(self, name: str, data: bytes) -> None:
        """Keep data in an object below `staging/`."""
        with _publishing_errors(name):
            self._client.put_object(
                Bucket=self._bucket, Key=f"{self._prefix}{_STAGING}{name}", Body=data, ContentType=BINARY
            )

    def staged(self, name: str) -> bytes | None:
        """Return the object below `staging/`, None where there is none."""
        return self.read(_STAGING + name)

    def staged_names(self, prefix: str) -> tuple[str, ...]:
        """Return the names below `staging/` that begin so."""
        below = self._prefix + _STAGING
        return tuple(key.removeprefix(below) for key, _ in self._objects(_STAGING + prefix))

    def unstage(self, names: Iterable[str]) -> None:
        """Drop these objects below `staging/`."""
        self.delete(_STAGING + name for name in names)

    def _put(self, path: str, data: bytes) -> None:
        delivery = delivery_of(path)
        condition = {"IfNoneMatch": "*"} if is_tile(path) else {}
        with _publishing_errors(path):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + path,
                    Body=data,
                    ContentType=delivery.content_type,
                    CacheControl=delivery.cache_control,
                    **condition,
                )
            except botocore.exceptions.ClientError as error:
                if _code(error) not in _THERE_ALREADY:
                    raise
                self._require_same(path, data)

    def _require_same(self, path: str, data: bytes) -> None:
        if self.read(path) != data:
            msg = (
                f"the object {self._prefix}{path} is published with other content than it should have; nothing is "
                "overwritten: keep a copy of the bucket and the database, and find out which is not the newest"
            )
            raise HistoryError(msg)

    def _objects(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the name and the size of each object whose path begins so."""
        with _publishing_errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    yield found["Key"], found["Size"]


def _code(error: botocore.exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextlib.contextmanager
def _publishing_errors(what: str) -> Iterator[None]:
    try:
        yield
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        msg = f"the object store cannot be used for {what}: {error}"
        raise PublishingError(msg) from error
