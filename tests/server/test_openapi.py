from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from scripts.make_api_reference import PAGE, document, render
from tests.server.steps import BY_ROLE, Api, problem

from trimtab.core.rights import Role

DOCUMENT = document()
OPERATIONS = [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods]

# The paths that the project's first specification promises: they stay exactly so.
PROMISED = """
GET  /api/active/stats/labeled
POST /api/active/feeds/load
POST /api/active/bundles/create
POST /api/active/bundles/propose
GET  /api/active/bundles/{}/active
POST /api/active/bundles/upload
GET  /api/active/approvals/pending
POST /api/active/approvals/{}/approve
POST /api/active/approvals/{}/reject
POST /api/active/approvals/{}/apply
GET  /api/active/canaries/active
GET  /api/active/canaries/{}/performance
POST /api/active/canaries/{}/promote
POST /api/active/canaries/{}/rollback
GET  /api/active/weights
GET  /api/active/weights/{}
POST /api/active/weights/update
GET  /api/active/review/queue
GET  /api/active/review/stats
POST /api/active/pause
POST /api/active/resume
GET  /api/active/status
""".strip().splitlines()

_ID = "0198c0de-0000-7000-8000-000000000000"
# A body that has the right shape, for each operation that needs one.
BODIES: dict[str, dict[str, Any]] = {
    "/api/active/pause": {"json": {"reason": "x"}},
    "/api/active/resume": {"json": {"reason": "x"}},
    "/api/active/bundles/create": {"json": {"agent": "mail"}},
    "/api/active/bundles/propose": {"json": {"agent": "mail", "bundle": "abcdef"}},
    "/api/active/bundles/upload": {"params": {"agent": "mail"}, "content": b"{}"},
    "/api/active/approvals/{proposal_id}/reject": {"json": {"reason": "x"}},
    "/api/active/canaries/{agent}/promote": {"json": {"reason": "x"}},
    "/api/active/canaries/{agent}/rollback": {"json": {"reason": "x"}},
    "/api/events": {"json": []},
}


def _filled(path: str) -> str:
    for name, value in (("agent", "mail"), ("proposal_id", _ID), ("rollout_id", _ID), ("sha256", "abcdef")):
        path = path.replace(f"{{{name}}}", value)
    return path.replace("{name}", "guard_tick")


def _nameless(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


@pytest.mark.parametrize("promised", PROMISED)
def test_every_promised_path_is_there_exactly_so(promised: str) -> None:
    method, path = promised.split()
    assert (method.lower(), path) in {(method, _nameless(path)) for method, path in OPERATIONS}


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_says_what_it_does_who_may_and_how_it_refuses(method: str, path: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    assert len(operation["description"]) > 10
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    good = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
    assert good["content"]["application/json"]["schema"], "a typed answer"
    for one in operation.get("parameters", []):
        assert one["in"] == "path" or one.get("description"), f"{one['name']}: say what it is"
    refusals = {status for status in operation["responses"] if status >= "400"}
    if operation.get("security") == []:
        assert refusals == {"503"}
    else:
        assert {"401", "403", "404", "409", "422", "500", "503"} <= refusals
        assert operation["x-rights"]
        assert operation["x-roles"]


def test_the_document_is_openapi_3_1_and_its_references_lead_somewhere() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    schemas = DOCUMENT["components"]["schemas"]
    wanted = {one.removeprefix("#/components/schemas/") for one in _references(DOCUMENT)}
    assert wanted <= set(schemas)
    assert len({DOCUMENT["paths"][path][method]["operationId"] for method, path in OPERATIONS}) == len(OPERATIONS)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def test_every_operation_but_the_health_checks_asks_for_a_key(lite: Api) -> None:
    for method, path in OPERATIONS:
        response = lite.call(method.upper(), _filled(path), who=None)
        if DOCUMENT["paths"][path][method].get("security") == []:
            assert response.status_code == 200, path
        else:
            problem(response, 401, "unauthenticated")


def test_every_role_that_is_not_named_is_refused(lite: Api) -> None:
    checked = 0
    for method, path in OPERATIONS:
        operation = DOCUMENT["paths"][path][method]
        for role in set(Role) - {Role(one) for one in operation.get("x-roles", list(Role))}:
            response = lite.call(method.upper(), _filled(path), who=BY_ROLE[role], **BODIES.get(path, {}))
            assert "may not" in problem(response, 403, "forbidden"), (method, path, role)
            checked += 1
    assert checked > 50


def test_the_document_itself_asks_for_a_key_of_any_role(lite: Api) -> None:
    problem(lite.get("/api/openapi.json", who=None), 401, "unauthenticated")
    served = lite.get("/api/openapi.json", who="mailbot").json()
    assert served["paths"] == DOCUMENT["paths"]


def test_the_reference_page_says_what_the_document_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(DOCUMENT), "run: python -m scripts.make_api_reference"
