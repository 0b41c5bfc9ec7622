"""A release as both halves see it: files by name, each with its size, its hash and what is signed about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

AS_OF: Final = "x-answerback-as-of"
"""The member of a timestamp that says when it was signed, in seconds since 1970."""
SHA256: Final = "sha256"
"""The hash by which files are known."""


class _Described(Protocol):
    """A target as python-tuf has it."""

    length: int
    hashes: dict[str, str]

    @property
    def custom(self) -> Any: ...  # noqa: ANN401  # whatever was signed


@dataclass(frozen=True)
class Target:
    """A file of a release: bytes, SHA-256 in hexadecimal, and what else was signed about it."""

    size: int
    sha256: str
    custom: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, described: _Described) -> Self:
        """Read what python-tuf has of it; a hash of another kind than ours is none."""
        custom = described.custom
        return cls(described.length, described.hashes.get(SHA256, ""), custom if isinstance(custom, dict) else {})
