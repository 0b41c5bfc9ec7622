"""The OpenAPI 3.1 document, made of the same list as the routes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import falcon

from number_directory.server.config import DirectoryConfig
from number_directory.server.errors import RefusalKind
from number_directory.server.web.operations import Operation
from number_directory.server.web.problems import PROBLEM_TYPES, PROBLEMS
from number_directory.server.web.schemas import PROBLEM, Schema
from serving.web.problems import CONTENT_TYPE

_ALWAYS = (RefusalKind.MALFORMED, RefusalKind.SERVER_INTERNAL)


def openapi_document(config: DirectoryConfig, offered: Sequence[Operation]) -> dict[str, Any]:
    """Return the document that describes these operations."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in offered:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    schemas = {one.name: one.schema for one in _schemas(offered)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": config.name,
            "version": "1",
            "summary": "A directory of telephone numbers: signed records, shown to whom their owners let see them.",
        },
        "servers": [{"url": config.url}],
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}{_camel(operation.path)}",
        "summary": operation.summary,
        "responses": {"200": _success(operation), **_refusals(operation)},
    }
    if operation.revalidates:
        described["responses"]["304"] = {"description": "Whoever sent its ETag has it already."}
    if operation.takes is not None:
        described["requestBody"] = {"required": True, "content": {falcon.MEDIA_JSON: _reference(operation.takes)}}
    if operation.part is not None:
        name = operation.path.partition("{")[2].rstrip("}")
        described["parameters"] = [{"name": name, "in": "path", "required": True, "schema": operation.part}]
    return described


def _success(operation: Operation) -> dict[str, Any]:
    content = {"schema": {"type": "string"}} if operation.answers is None else _reference(operation.answers)
    return {"description": "It was done.", "content": {operation.content_type: content}}


def _refusals(operation: Operation) -> dict[str, Any]:
    """Return the refusals by status, each with the types of its problems."""
    by_status: dict[int, list[RefusalKind]] = {}
    for kind in dict.fromkeys((*operation.refuses, *_ALWAYS)):
        by_status.setdefault(int(PROBLEMS[kind].status), []).append(kind)
    return {
        str(status): {
            "description": "; or ".join(f"{PROBLEMS[kind].meaning} (`{PROBLEM_TYPES[kind].uri}`)" for kind in kinds)
            + ".",
            "content": {CONTENT_TYPE: _reference(PROBLEM)},
        }
        for status, kinds in sorted(by_status.items())
    }


def _reference(schema: Schema) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{schema.name}"}}


def _schemas(offered: Iterable[Operation]) -> Iterable[Schema]:
    yield PROBLEM
    for operation in offered:
        yield from filter(None, (operation.takes, operation.answers))


def _camel(path: str) -> str:
    words = path.replace("{", "").replace("}", "").replace("/", " ").replace("-", " ").replace(".", " ").split()
    return "".join(word.capitalize() for word in words)
