"""The JSON of requests and answers, as schemas for the OpenAPI document (JSON Schema 2020-12)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from number_directory.access_list import LARGEST_ACCESS_LIST
from number_directory.hidden import DEEPEST
from number_directory.lookup import LARGEST_ANSWER, MOST_NUMBERS, MOST_TOKENS
from number_directory.statement import LARGEST_STATEMENT


class Schema(NamedTuple):
    """A schema under the name that the document gives it."""

    name: str
    schema: dict[str, Any]


def _object(required: tuple[str, ...], **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_NUMBER: Final = {"type": "string", "pattern": "^\\+[1-9][0-9]{6,14}$", "examples": ["+12025550123"]}
_TOKEN: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{22,128}$"}
_TEXT: Final = {"type": "string"}
_BY_NUMBER: Final = {"propertyNames": _NUMBER}
_RECEIPT: Final = {"type": "string", "description": "a C2SP tlog-proof that the record log has the statement"}

HASH: Final = {
    "type": "string",
    "pattern": "^[A-Za-z0-9_-]{43}$",
    "description": "the SHA-256 of the statement, in base64url without padding",
}
BUCKET: Final = {
    "type": "string",
    "pattern": "^(0|[1-9][0-9]?)-(0|[1-9a-f][0-9a-f]{0,4})$",
    "description": "the depth of the buckets, and the bucket's index in hexadecimal",
    "examples": ["0-0", "7-5a"],
}
TILE: Final = {"type": "string", "pattern": "^[a-z0-9./]{1,80}$", "examples": ["0/000.p/1"]}


def _statement(longest: int) -> dict[str, Any]:
    return _object(
        ("statement",),
        statement={
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]{86}(~[A-Za-z0-9_-]*)*$",
            "maxLength": longest,
            "description": "a compact JWS, ES256, with x5c; a record has its media's disclosure behind it",
        },
    )


STATEMENT: Final = Schema("Statement", _statement(LARGEST_STATEMENT))
ACCESS_LIST: Final = Schema("AccessList", _statement(LARGEST_ACCESS_LIST))
QUESTION: Final = Schema(
    "Question",
    {
        "oneOf": [
            STATEMENT.schema,
            _object(
                ("numbers",),
                numbers={
                    "type": "array",
                    "items": _NUMBER,
                    "minItems": 1,
                    "maxItems": MOST_NUMBERS,
                    "uniqueItems": True,
                },
                tokens={"type": "array", "items": _TOKEN, "maxItems": MOST_TOKENS},
            ),
        ]
    },
)
BLINDED: Final = Schema(
    "Blinded",
    {
        "oneOf": [
            STATEMENT.schema,
            _object(
                ("blinded",),
                blinded={
                    "type": "array",
                    "items": {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"},
                    "minItems": 1,
                    "maxItems": MOST_NUMBERS,
                    "uniqueItems": True,
                    "description": "ristretto255 elements, in base64url without padding",
                },
            ),
        ]
    },
)
EVALUATED: Final = Schema(
    "Evaluated",
    _object(
        ("evaluated",),
        evaluated={
            "type": "array",
            "items": {"type": "string", "pattern": "^[A-Za-z0-9_-]{128}$"},
            "minItems": 1,
            "maxItems": MOST_NUMBERS,
            "description": "for each, the evaluated element and its proof, in base64url without padding",
        },
    ),
)
LAYOUT: Final = Schema("Layout", _object(("depth",), depth={"type": "integer", "minimum": 0, "maximum": DEEPEST}))
ACCEPTANCE: Final = Schema(
    "Acceptance", _object(("result",), result={"type": "string", "enum": ["newer", "same"]}, receipt=_RECEIPT)
)
ANSWER: Final = Schema(
    "Answer",
    _object(
        ("answers", "moved", "omitted", "padding"),
        answers={"type": "object", "additionalProperties": {"type": "array", "items": _TEXT}, **_BY_NUMBER},
        moved={"type": "object", "additionalProperties": _TEXT, **_BY_NUMBER},
        omitted={"type": "array", "items": _NUMBER, "maxItems": MOST_NUMBERS},
        padding={"type": "string", "pattern": "^0*$", "maxLength": LARGEST_ANSWER},
    ),
)
OWN: Final = Schema(
    "Own",
    _object(
        ("records",),
        records={"type": "array", "items": _object(("record",), record=_TEXT, receipt=_RECEIPT)},
        access_list=_TEXT,
        moved=_TEXT,
        notices={
            "type": "array",
            "items": _object(("at", "text"), at={"type": "integer"}, text=_TEXT, app=_TEXT),
        },
    ),
)
DESCRIPTION: Final = Schema(
    "Description",
    _object(
        ("version", "name", "operator", "url", "record_log", "limits"),
        version={"type": "integer", "const": 1},
        name=_TEXT,
        operator=_TEXT,
        url={"type": "string", "format": "uri"},
        record_log={"type": "string", "description": "the record log's verifier key (C2SP signed-note)"},
        limits=_object(
            ("numbers", "apps", "fresh_seconds", "forwarding_days"),
            numbers={"type": "integer"},
            apps={"type": "integer"},
            fresh_seconds={"type": "integer"},
            forwarding_days={"type": "integer"},
        ),
        hidden_key={"type": "string"},
    ),
)
HEALTH: Final = Schema("Health", _object(("status",), status={"type": "string", "const": "ok"}))
PROBLEM: Final = Schema(
    "Problem",
    {
        "type": "object",
        "description": "RFC 9457",
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "detail": {"type": "string"},
            "status": {"type": "integer"},
            "seq": {"type": "integer", "description": "of a conflict, or of what counts"},
            "accepted": HASH,
            "refused": HASH,
        },
        "required": ["type", "detail", "status"],
    },
)
