"""TOML files of typed settings: what they may say stands in their structs, and every mistake is named.

A mistake is told as `file: key: what is wrong; what is allowed`, for the person who must mend it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import inspect

from policies.errors import PolicyFileError

T = TypeVar("T")

LARGEST_FILE = 256 * 1024
"""In bytes. Nobody writes more settings by hand, and the TOML parser is not made for hostile input."""
MOST_DOTS = 200
"""On one line: a dotted key costs the TOML parser memory that grows with the square of its parts."""

_PLACE = re.compile(r"(?P<mistake>.*) - at `(?P<place>[^`]*)`", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_WORDS = {
    "`object`": "a table",
    "`array`": "a list",
    "`str`": "text",
    "`int`": "a whole number",
    "`bool`": "true or false",
}


def load_toml(path: Path, type_: type[T]) -> T:
    """Read the file as a value of the msgspec type `type_`, where a `Path` is a string without NUL.

    Raises PolicyFileError, and nothing else, for a file that cannot be read, is no TOML, or says what `type_` does not
    allow; a key that it does not know is refused where the struct forbids unknown fields.
    """
    return parse_toml(read_toml(path), type_, path)


def parse_toml(text: str, type_: type[T], path: Path) -> T:
    """Read TOML text as `load_toml` does; `path` is the file that its errors name."""
    try:
        return msgspec.toml.decode(text, type=type_, dec_hook=read_path)
    except msgspec.ValidationError as error:
        msg = f"{path}: {_explain(str(error), type_)}"
        raise PolicyFileError(msg) from error
    except RecursionError as error:
        msg = f"{path}: the tables or lists are nested too deeply"
        raise PolicyFileError(msg) from error
    except ValueError as error:  # no TOML, or a number or date that Python cannot hold
        msg = f"{path}: not TOML: {error}"
        raise PolicyFileError(msg) from error


def read_toml(path: Path) -> str:
    """Return the text of a file of settings; raise PolicyFileError where it cannot be one."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # a path that holds NUL is a ValueError
        reason = getattr(error, "strerror", None) or error
        msg = f"{path}: cannot be read: {reason}"
        raise PolicyFileError(msg) from error
    return toml_text(content, path)


def toml_text(content: bytes, path: Path, largest: int = LARGEST_FILE) -> str:
    """Return the text of a file with this content, that the TOML parser can be given; raise PolicyFileError."""
    if len(content) > largest:
        msg = f"{path}: larger than {largest // 1024} KiB, which no file of settings is"
        raise PolicyFileError(msg)
    if any(line.count(b".") > MOST_DOTS for line in content.split(b"\n")):
        msg = f"{path}: a line has more than {MOST_DOTS} dots; break it into several"
        raise PolicyFileError(msg)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        msg = f"{path}: line {line} is not UTF-8 text; save the file as UTF-8"
        raise PolicyFileError(msg) from error


def read_path(type_: type[object], value: object) -> object:
    """Turn a text into a path, the one type that settings have and TOML does not: for msgspec, as its `dec_hook`."""
    if not issubclass(type_, Path):
        msg = f"{type_.__name__} has no form in TOML"
        raise TypeError(msg)
    if not isinstance(value, str) or not value or "\0" in value:
        msg = "Expected a path: text that is not empty"
        raise ValueError(msg)
    return type_(value)


def _explain(message: str, type_: object) -> str:
    """Return `key: what is wrong; what is allowed` for a message of msgspec's."""
    found = _PLACE.fullmatch(message)
    mistake, place = (found["mistake"], found["place"]) if found else (message, "$")
    node = _descend(inspect.type_info(type_), place)
    if unknown := _UNKNOWN.fullmatch(mistake):
        return f"{_key(place, unknown[1])}: there is no such key; {_allowed(node)}"
    if missing := _MISSING.fullmatch(mistake):
        return f"{_key(place, missing[1])}: this key is missing{_hint(_child(node, missing[1]))}"
    for word, plain in _WORDS.items():
        mistake = mistake.replace(word, plain)
    return f"{_key(place)}: {mistake}{_hint(node)}"


def _key(place: str, name: str | None = None) -> str:
    """Return msgspec's `$.gateways[0]` as an operator writes it, with the name of a key in it."""
    inside = place.removeprefix("$").removeprefix(".")
    return ".".join(part for part in (inside, name) if part) or "the file"


def _descend(node: inspect.Type, place: str) -> inspect.Type:
    """Return the type that stands at a path such as `$.gateways[0].name`."""
    for step in _STEP.finditer(place):
        node = _child(node, step[1]) if step[1] else _element(node)
    return node


def _child(node: inspect.Type, name: str) -> inspect.Type:
    """Return the type of a struct's field; that of anything, where the node is no struct that has it."""
    for struct in _alternatives(node):
        if isinstance(struct, inspect.StructType):
            return next((field.type for field in struct.fields if field.encode_name == name), inspect.AnyType())
    return inspect.AnyType()


def _element(node: inspect.Type) -> inspect.Type:
    """Return the type of a list's elements or a table's values; that of anything, where the node is neither."""
    for collection in _alternatives(node):
        if isinstance(collection, inspect.DictType):
            return collection.value_type
        if isinstance(collection, inspect.CollectionType):
            return collection.item_type
    return inspect.AnyType()


def _alternatives(node: inspect.Type) -> tuple[inspect.Type, ...]:
    """Return the types that a value may have here, without notes and without None."""
    if isinstance(node, inspect.Metadata):
        return _alternatives(node.type)
    if isinstance(node, inspect.UnionType):
        return tuple(inner for one in node.types for inner in _alternatives(one))
    return () if isinstance(node, inspect.NoneType) else (node,)


def _hint(node: inspect.Type) -> str:
    allowed = _allowed(node)
    return f"; {allowed}" if allowed else ""


def _allowed(node: inspect.Type) -> str:
    """Say what is allowed, where the type names it one by one or shows an example."""
    if isinstance(node, inspect.Metadata):
        examples = (node.extra_json_schema or {}).get("examples", ())
        return f"write it as {_listed(examples)}" if examples else _allowed(node.type)
    values: list[object] = []
    for one in _alternatives(node):
        if isinstance(one, inspect.StructType):
            return f"the keys here are {', '.join(field.encode_name for field in one.fields)}"
        if isinstance(one, inspect.LiteralType):
            values.extend(one.values)
        elif isinstance(one, inspect.EnumType):
            values.extend(member.value for member in one.cls)
    return f"allowed are {_listed(values)}" if values else ""


def _listed(values: object) -> str:
    return msgspec.json.encode(values).decode().strip("[]").replace(",", ", ")
