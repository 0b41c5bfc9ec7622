from __future__ import annotations

import contextlib
import json
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import PolicyFileError
from policies.issuance import IssuancePolicy
from policies.loading import LARGEST_FILE, MOST_DOTS, load_toml


class Colour(Enum):
    """A value from a list."""

    RED = "red"
    BLUE = "blue"


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table in a list of tables."""

    name: str
    panes: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    colour: Colour = Colour.RED
    kind: Literal["sash", "bay"] | None = None
    code: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$", examples=["US"])] = "US"
    label: Annotated[str, msgspec.Meta(description="shown to people")] = ""


class House(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of settings."""

    windows: tuple[Window, ...] = ()
    rooms: dict[str, Window] = {}
    shelf: Annotated[tuple[Window, ...], msgspec.Meta(description="what is put away")] = ()
    plan: Path | None = None
    corner: tuple[int, int] | None = None
    either: int | tuple[str, ...] = 0
    options: dict[str, Any] = {}


class Odd(msgspec.Struct):
    """A type that no TOML value has."""

    number: complex = 0j


def read(tmp_path: Path, text: str | bytes, type_: type[Any] = House) -> object:
    """Load a file that holds just this."""
    path = tmp_path / "house.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_toml(path, type_)


def test_a_file_becomes_the_value_it_describes(tmp_path: Path) -> None:
    """Tables, lists, paths, enumerations and free options arrive typed."""
    house = read(
        tmp_path, 'plan = "a/b.txt"\n[[windows]]\nname = "w"\ncolour = "blue"\nkind = "bay"\n[options]\nx = [1, "y"]\n'
    )
    assert house == House(
        windows=(Window("w", colour=Colour.BLUE, kind="bay"),), plan=Path("a/b.txt"), options={"x": [1, "y"]}
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("doors = 1", "doors: there is no such key; the keys here are windows, rooms, shelf"),
        ("[[windows]]\nname = 'w'\nbig = true", "windows[0].big: there is no such key; the keys here are name, panes"),
        ("[[windows]]\npanes = 1", "windows[0].name: this key is missing"),
        ("[[windows]]\nname = 'w'\npanes = 10", "windows[0].panes: Expected a whole number <= 9"),
        (
            "[[windows]]\nname = 'w'\ncolour = 'x'",
            'windows[0].colour: Invalid enum value \'x\'; allowed are "red", "blue"',
        ),
        ("[[windows]]\nname = 'w'\nkind = 'x'", 'windows[0].kind: Invalid enum value \'x\'; allowed are "bay", "sash"'),
        ("[[windows]]\nname = 'w'\ncode = 'us'", "windows[0].code: Expected text matching regex"),
        ("[[windows]]\nname = 'w'\nlabel = 1", "windows[0].label: Expected text, got a whole number"),
        ("[rooms]\nkitchen = {name = 'w', panes = 0}", "rooms[...].panes: Expected a whole number >= 1"),
        ("[[shelf]]\nname = 'w'\npanes = false", "shelf[0].panes: Expected a whole number, got true or false"),
        ("windows = 3", "windows: Expected a list, got a whole number"),
        ("plan = 1", "plan: Expected a path: text that is not empty"),
        ("plan = ''", "plan: Expected a path: text that is not empty"),
        ('plan = "a\\u0000b"', "plan: Expected a path: text that is not empty"),
        ("corner = [1, 'x']", "corner[1]: Expected a whole number, got text"),
        ("either = [1]", "either[0]: Expected text, got a whole number"),
    ],
)
def test_a_mistake_is_told_with_its_file_key_and_what_is_allowed(tmp_path: Path, text: str, told: str) -> None:
    """The message begins with the file, then the key's path, then what is wrong and what is allowed."""
    with pytest.raises(PolicyFileError) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'house.toml'}: {told}")


def test_a_pattern_is_explained_by_an_example(tmp_path: Path) -> None:
    """Where a type shows an example, the message does too."""
    with pytest.raises(PolicyFileError, match=r'write it as "US"$'):
        read(tmp_path, 'countries = ["usa"]', IssuancePolicy)


def test_a_missing_key_tells_what_to_write(tmp_path: Path) -> None:
    """A key that is missing is named with its allowed values."""

    class Needs(msgspec.Struct):
        """A table with a key that must be there."""

        kind: Literal["sash", "bay"]

    with pytest.raises(PolicyFileError, match=r'kind: this key is missing; allowed are "bay", "sash"$'):
        read(tmp_path, "", Needs)


def test_a_type_that_toml_cannot_express_is_refused(tmp_path: Path) -> None:
    """A struct with a field that has no form in TOML gives this room's error."""
    with pytest.raises(PolicyFileError, match="number: complex has no form in TOML"):
        read(tmp_path, "number = 1", Odd)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"windows = [", "not TOML"),
        (b"windows", "not TOML"),
        (b"# line one\nplan = '\xff'", "line 2 is not UTF-8"),
        (b"options.x = " + b"1" * 5000, "not TOML"),
        (b"options.x = " + b"[" * 100_000, "nested too deeply"),
        (b"a." * (MOST_DOTS + 1) + b"b = 1", "dots"),
        (b"#" * (LARGEST_FILE + 1), "larger than"),
        (b"[options]\nd = 2024-13-01", "not TOML"),
    ],
)
def test_what_is_no_toml_is_told_so(tmp_path: Path, content: bytes, told: str) -> None:
    """Bytes that are no TOML, or more than any settings need, give a PolicyFileError that says which."""
    with pytest.raises(PolicyFileError, match=told):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("name", "told"), [("missing.toml", "No such file"), ("", "Is a directory"), ("a\0b", "null byte")]
)
def test_a_file_that_cannot_be_read_is_told_so(tmp_path: Path, name: str, told: str) -> None:
    """A missing file, a directory and an impossible name give a PolicyFileError with the reason."""
    with pytest.raises(PolicyFileError, match=f"cannot be read: .*{told}"):
        load_toml(tmp_path / name, House)


def test_a_message_that_names_no_place_speaks_of_the_file(tmp_path: Path) -> None:
    """A mistake at the top of the file is told as the file's."""
    with pytest.raises(PolicyFileError, match=r"house.toml: the file: Expected a whole number, got a table"):
        read(tmp_path, "a = 1", int)


_keys = st.sampled_from(["windows", "rooms", "plan", "corner", "either", "options", "name", "panes", "`$.x`", "é", ""])
_values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=8,
)


@given(table=st.dictionaries(_keys, _values, max_size=4))
def test_any_table_loads_or_is_refused_by_this_rooms_error(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, object]
) -> None:
    """Whatever the TOML says, the answer is a value of the type or a PolicyFileError, never another exception."""
    text = "".join(f"{json.dumps(key, ensure_ascii=False)} = {_inline(value)}\n" for key, value in table.items())
    with contextlib.suppress(PolicyFileError):
        assert isinstance(read(tmp_path_factory.mktemp("table"), text), House)


@given(content=st.binary(max_size=200))
def test_any_bytes_load_or_are_refused_by_this_rooms_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Any bytes give a value or a PolicyFileError."""
    with contextlib.suppress(PolicyFileError):
        assert isinstance(read(tmp_path_factory.mktemp("bytes"), content), House)


def _inline(value: object) -> str:
    """Write a value as TOML does on one line."""
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {_inline(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(_inline(inner) for inner in value) + "]"
        case datetime():
            return value.isoformat()
        case float():
            return repr(value)
        case _:
            return json.dumps(value, ensure_ascii=False)
