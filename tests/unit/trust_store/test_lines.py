from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust_store.lines import Lines

FILE = '''\
# a comment with = and [brackets]

[settings] # and behind a header
revocation = "required"  # [[anchor]]
  call_seconds=60

[[anchor]]
name = "a = [[b]] # c"
prefixes = [
  "+1202", # a comment with ] in it
  "+44",
]
until = 2027-01-01

[[ anchor ]]
"name" = \'\'\'
[[deny]]
x = 1\'\'\'
operator = """one \\""" still = [one""" # behind
a.b."c.d" = { x = 1, y = [ 2 ] }
[deny]
[x."y]z"]
k = 1'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("settings",), 3),
        (("settings", "revocation"), 4),
        (("settings", "call_seconds"), 5),
        (("anchor", 0), 7),
        (("anchor", 0, "name"), 8),
        (("anchor", 0, "prefixes"), 9),
        (("anchor", 0, "until"), 13),
        (("anchor", 1), 15),
        (("anchor", 1, "name"), 16),
        (("anchor", 1, "operator"), 19),
        (("anchor", 1, "a", "b", "c.d"), 20),
        (("deny",), 21),
        (("x", "y]z"), 22),
        (("x", "y]z", "k"), 23),
    ],
)
def test_each_value_is_found_on_its_line(path: tuple[str | int, ...], line: int) -> None:
    """Headers, keys, and values over several lines, whatever stands in strings and comments."""
    tomllib.loads(FILE)
    lines = Lines.of(FILE)
    assert lines.by_path[path] == line
    assert lines.line_of(*path) == line


def test_a_value_without_a_line_of_its_own_stands_where_its_table_does() -> None:
    """An inline table or a default is named by the nearest line around it."""
    lines = Lines.of("a = 1\nsettings = { revocation = 'required' }\n")
    assert lines.line_of("settings", "revocation") == 2
    assert lines.line_of("nowhere", 3) == 1


def test_a_statement_knows_its_last_line_and_the_comment_behind_it() -> None:
    """What is changed can be cut out whole, and what is said about it can stay."""
    prefixes, until = Lines.of('prefixes = [ # not this\n"+1",\n]  # this\nuntil = 2027-01-01').statements
    assert (prefixes.first, prefixes.last, prefixes.comment) == (1, 3, "# this")
    assert (until.first, until.last, until.comment) == (4, 4, "")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_may_end_as_on_any_system(end: str) -> None:
    """A file from another system has the same lines."""
    lines = Lines.of(end.join(["[settings]", "", 'revocation = "required" # x', "[[anchor]]", 'name = "a"']))
    assert lines.by_path == {
        ("settings",): 1,
        ("settings", "revocation"): 3,
        ("anchor", 0): 4,
        ("anchor", 0, "name"): 5,
    }


KEY = st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True)
VALUE = st.one_of(
    st.integers(-9, 9).map(str),
    st.text(alphabet="ab #='[]{}", max_size=8).map(lambda text: f'"{text}"'),
    st.text(alphabet='ab #="[]{}\n', max_size=8).map(lambda text: f"'''{text}'''"),
    st.lists(st.integers(0, 9), max_size=3).map(lambda found: "[\n" + "".join(f" {one}, # ]\n" for one in found) + "]"),
)


@given(st.lists(st.tuples(KEY, VALUE, st.integers(0, 2)), unique_by=lambda one: one[0]))
def test_statements_are_found_wherever_they_stand(statements: list[tuple[str, str, int]]) -> None:
    """For any valid file, each key is on the line where it was written."""
    text, expected = "", {}
    for key, value, empty in statements:
        text += "\n" * empty
        expected[(key,)] = text.count("\n") + 1
        text += f"{key} = {value} # behind = [it\n"
    tomllib.loads(text)
    assert Lines.of(text).by_path == expected
