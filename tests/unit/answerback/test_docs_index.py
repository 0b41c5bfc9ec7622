"""The first page of the documentation leads everywhere, and the glossary is a list that can be searched."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_each_how_to_page_is_for_somebody() -> None:
    """The table of people links to every how-to page, so that nobody has to guess which one is theirs."""
    table = re.findall(r"^\| .*$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    linked = set(re.findall(r"\(how-to/([a-z-]+\.md)", "\n".join(table)))
    assert {page.name for page in (DOCS / "how-to").glob("*.md")} == linked


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    """Whoever looks for a word finds it where the alphabet has it."""
    rows = re.findall(r"^\| (.+?) \|", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    words = [word.casefold() for word in rows[1:]]
    assert words == sorted(set(words))
