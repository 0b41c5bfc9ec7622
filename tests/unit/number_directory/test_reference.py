from __future__ import annotations

from pathlib import Path

import pytest

from number_directory import access_list, description, hidden, hidden_lookup, lookup, move, own_listing, record
from number_directory.access_list import GrantKind
from number_directory.record import Medium
from number_directory.statement import FRESH_SECONDS, LARGEST_STATEMENT
from stir.jws import MOST_CHAINS
from tests.fakes.record_log import DIRECTORY

TEXT = " ".join(
    (Path(__file__).parents[3] / "docs" / "reference" / "directory-formats.md").read_text(encoding="utf-8").split()
)


@pytest.mark.parametrize(
    ("name", "type_", "longest"),
    [
        ("record", record.TYPE, record.LARGEST_RECORD),
        ("access list", access_list.TYPE, access_list.LARGEST_ACCESS_LIST),
        ("lookup", lookup.TYPE, LARGEST_STATEMENT),
        ("question for hidden numbers", hidden_lookup.TYPE, LARGEST_STATEMENT),
        ("owner's question", own_listing.TYPE, LARGEST_STATEMENT),
        ("move", move.TYPE, LARGEST_STATEMENT),
    ],
)
def test_the_reference_names_every_statement(name: str, type_: str, longest: int) -> None:
    """The table of statements is that of the code."""
    assert f"| {name} | `{type_}` | {longest} |" in TEXT


@pytest.mark.parametrize(
    "words",
    [
        f"at most {MOST_CHAINS - 1} ([decision 73]",
        f"for {FRESH_SECONDS} seconds before and after",
        f"1 to {record.MOST_URIS} absolute URIs (RFC 3986) in order of preference, each at most {record.LONGEST_URI}",
        f"1 to {record.LARGEST_SECTION} bytes",
        f"a salt of {record.SALT_SIZE} bytes",
        f"at most {record.MOST_APPS} apps",
        f"at most {access_list.MOST_GRANTS} in a list",
        f"1 to {lookup.MOST_NUMBERS} numbers",
        f"at most {lookup.MOST_TOKENS} bearer tokens",
        f"up to {lookup.SMALLEST_ANSWER // 1024} KiB or a double of that, up to {lookup.LARGEST_ANSWER >> 20} MiB",
        ", ".join(f"`{medium}`" for medium in list(Medium)[:-1]) + f" and `{list(Medium)[-1]}`",
        *(f'"{kind}"' for kind in GrantKind),
        *(f"`{one.decode()}`" for one in (hidden._INFO, hidden._INPUT, hidden._LABEL, hidden._RECORDS)),
        f"`POST /{hidden_lookup.EVALUATE_PATH}`",
        f"`GET /{hidden_lookup.BUCKETS_PATH}`",
        f"`blinded` are 1 to {hidden.MOST_NUMBERS} elements",
        f"each an element of {hidden.ELEMENT_BYTES} bytes",
        f"{hidden.EVALUATED_BYTES} bytes in base64url",
        f"`depth`, 0 to {hidden.DEEPEST}, is",
        f"A bucket of at most {hidden.LARGEST_BUCKET >> 20} MiB",
        f"up to {hidden.SMALLEST_SEALED >> 10} KiB, 8, 16, 32 or {hidden.LARGEST_SEALED >> 10}",
    ],
)
def test_the_reference_tells_the_limits(words: str) -> None:
    """Whoever writes another program finds the numbers of this one."""
    assert words in TEXT


def test_the_reference_names_every_member_of_the_description() -> None:
    """The table of the description is that of the code."""
    for member in ("name", "operator", "url", "record_log", "limits", "numbers", "fresh_seconds", "forwarding_days"):
        assert f'"{member}"' in DIRECTORY.to_json().decode()
        assert f"`{member}`" in TEXT
    assert description.PATH in TEXT
