"""Writes docs/reference/api.md from the OpenAPI document, so that it cannot say something else."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trimtab.bootstrap import build
from trimtab.server import openapi
from trimtab.server.app import create_app
from trimtab.server.bodies import MAX_BODY
from trimtab.server.event_items import MAX_EVENTS
from trimtab.settings import Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "api.md"

_HEAD = f"""# The API

`trimtab serve` speaks JSON over HTTP; this page is written by `python -m scripts.make_api_reference` from its OpenAPI
document, which a running server gives at `/api/openapi.json`.

**Keys.** Every path but `/healthz` and `/readyz` needs `Authorization: Bearer tt_…`. The first `trimtab serve` on a new
database shows an administrator's key, once; `trimtab keys create NAME ROLE` makes more. Who acts is the key's name,
never something in a body. A key ends when it expires, or at once with `trimtab keys revoke`.

**Units.** Probabilities, rates and shares are numbers in [0, 1]; times are ISO 8601 in UTC; what was not measured is
`null`, never 0. Names are those of the command line's `--json`.

**Limits.** A body has at most {MAX_BODY:,} bytes, also unpacked (`Content-Encoding: gzip` works everywhere), and
`POST /api/events` takes at most {MAX_EVENTS:,} events. What comes in is strict: no unknown field, no text for a number.

**Refusals** are `application/problem+json`: `type`, `title`, `status`, `code`, `detail`. The `code` is one of those in
[errors](errors.md), or `method_not_allowed` (405), or `unexpected` (500: the log has it under the `X-Request-Id` of the
answer). 401 comes with `WWW-Authenticate`, 503 with `Retry-After`.

```sh
curl -H "Authorization: Bearer $TRIMTAB_API_KEY" http://127.0.0.1:8321/api/active/status
```
"""


def document() -> dict[str, Any]:
    """The OpenAPI document of this version. No database is opened for it."""
    with tempfile.TemporaryDirectory() as folder:
        trimtab = build(Settings(database_url=f"sqlite:///{Path(folder) / 'none.db'}"), migrate=False)
        try:
            return openapi.document(create_app(trimtab))
        finally:
            trimtab.close()


def render(api: dict[str, Any]) -> str:
    """The whole page."""
    lines = [_HEAD]
    for tag in api["tags"]:
        lines += [f"## {tag['name']}", "", tag["description"], ""]
        for path, methods in api["paths"].items():
            for method, operation in methods.items():
                if operation["tags"] == [tag["name"]]:
                    lines += [*_operation(api, method, path, operation), ""]
    lines += ["## What answers hold", ""]
    for name, schema in sorted(api["components"]["schemas"].items()):
        if name in _answered(api):
            lines += [*_shape(name, schema), ""]
    return "\n".join(lines)


def _operation(api: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {method.upper()} {path}"
    yield ""
    yield " ".join(operation["description"].split())
    roles = operation.get("x-roles")
    yield ""
    yield f"Roles: {', '.join(roles)}." if roles else "No key is needed."
    given = [*_parameters(operation), *_body(api, operation)]
    if given:
        yield from ["", "| in | name | type | meaning |", "|---|---|---|---|", *given]
    yield ""
    yield f"Answers {_answers(operation)}"


def _parameters(operation: dict[str, Any]) -> Iterator[str]:
    for one in operation.get("parameters", []):
        if one["in"] != "path":
            needed = "" if one["required"] else ", optional"
            yield f"| {one['in']} | `{one['name']}` | {_type(one['schema'])}{needed} | {one['description']} |"


def _body(api: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    body = operation.get("requestBody")
    if body is None:
        return
    if "description" in body:
        yield f"| body | | {' or '.join(f'`{one}`' for one in body['content'])} | {body['description']} |"
        return
    schema = body["content"]["application/json"]["schema"]
    name = next(one["$ref"] for one in [schema, *schema.get("anyOf", [])] if "$ref" in one).rpartition("/")[2]
    model = api["components"]["schemas"][name]
    for field, one in model["properties"].items():
        needed = "" if field in model.get("required", []) else ", optional"
        default = f" Default: `{one['default']}`." if one.get("default") not in (None, False) else ""
        yield f"| body | `{field}` | {_type(one)}{needed} | {_meaning(one)}{default} |"


def _answers(operation: dict[str, Any]) -> str:
    found = []
    for status, answer in operation["responses"].items():
        if status < "400":
            schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
            found.append(f"{status} `{_type(schema)}`" if schema else f"{status} ({answer['description'].rstrip('.')})")
    return "; ".join(found) + "."


def _answered(api: dict[str, Any]) -> set[str]:
    """The schemas that answers are made of, also deep inside."""
    schemas = api["components"]["schemas"]
    found: set[str] = set()
    wanted = _names([operation["responses"] for methods in api["paths"].values() for operation in methods.values()])
    while wanted - found:
        found |= wanted
        wanted = _names([schemas[name] for name in found])
    return found


def _names(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {str(value["$ref"]).rpartition("/")[2]} if "$ref" in value else set()
        return own.union(*(_names(inner) for inner in value.values()))
    return set().union(*(_names(inner) for inner in value)) if isinstance(value, list) else set()


def _shape(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    if "description" in schema:
        yield from [" ".join(schema["description"].split()), ""]
    yield from ["| field | type | meaning |", "|---|---|---|"]
    for field, one in schema["properties"].items():
        empty = " or null" if {"type": "null"} in one.get("anyOf", []) else ""
        yield f"| `{field}` | {_type(one)}{empty} | {_meaning(one)} |"


def _meaning(schema: dict[str, Any]) -> str:
    for one in [schema, *schema.get("anyOf", [])]:
        if "description" in one:
            return str(one["description"])
    return ""


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return " or ".join(str(one) for one in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one.get("type") != "null")
    if schema.get("type") == "array" and "items" in schema:
        return f"array of {_type(schema['items'])}"
    return str(schema.get("format") or schema.get("type", "any"))


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(document()), encoding="utf-8")
    print(f"wrote {PAGE.name}")


if __name__ == "__main__":
    main()
