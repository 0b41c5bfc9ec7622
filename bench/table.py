"""One line for each thing measured: what ours took, what was hoped for, and what the program beside it took."""

from __future__ import annotations

from dataclasses import dataclass

_WIDTHS = (46, 14, 14, 40, 8)


@dataclass(frozen=True)
class Row:
    """What was measured; `beside` names what stands beside ours, and `theirs` is what that took, in the same unit.

    `target` is None where nothing was promised.
    """

    what: str
    unit: str
    ours: float
    target: float | None
    beside: str
    theirs: float

    @property
    def ratio(self) -> float:
        """How often ours fits into theirs: above 1, ours takes less."""
        return self.theirs / self.ours


def heading() -> str:
    """Name the columns."""
    return _line("measured", "ours", "target", "beside it", "ratio")


def line(row: Row) -> str:
    """Format one row for the terminal."""
    return _line(
        row.what,
        f"{row.ours:.3g} {row.unit}",
        "" if row.target is None else f"<= {row.target:g} {row.unit}",
        f"{row.beside}: {row.theirs:.3g} {row.unit}",
        f"{row.ratio:.2f}",
    )


def _line(*cells: str) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()
