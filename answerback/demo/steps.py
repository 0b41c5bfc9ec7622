"""What the story is told in: steps, each with what was told beforehand and what came of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CameOut:
    """What came of a step."""

    outcome: str
    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done: what was told beforehand, what came out, the deciding rule, and why, in words."""

    title: str
    told: str
    came_out: str
    rule: str
    why: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it came out as told."""
        return self.told == self.came_out
