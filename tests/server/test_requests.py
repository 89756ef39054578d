from __future__ import annotations

import gzip
import logging
import zlib
from typing import Any

import pytest
from tests.server.steps import Api, problem
from tests.services.steps import add_agent

from trimtab.server.bodies import MAX_BODY, gunzip
from trimtab.server.requests import HEADERS


@pytest.mark.parametrize(
    ("method", "path", "who"),
    [("GET", "/healthz", None), ("GET", "/readyz", None), ("GET", "/api/active/status", "ada"),
     ("GET", "/api/active/status", None), ("GET", "/api/nothing", "ada"), ("DELETE", "/api/agents", "ada"),
     ("POST", "/api/active/pause", "ada")],
)  # fmt: skip
def test_every_answer_carries_the_safe_headers_and_an_id(lite: Api, method: str, path: str, who: str | None) -> None:
    response = lite.call(method, path, who=who)
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert response.headers["cache-control"] == "no-store"
    assert len(response.headers["x-request-id"]) == 36
    assert "server" not in response.headers


def test_other_origins_get_nothing(lite: Api) -> None:
    origin = {"Origin": "https://elsewhere.example"}
    asked = lite.get("/api/active/status", headers=origin)
    assert not [name for name in asked.headers if name.startswith("access-control")]
    before = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    problem(lite.call("OPTIONS", "/api/active/pause", who=None, headers=before), 401, "unauthenticated")
    assert lite.call("OPTIONS", "/api/active/pause", headers=before).status_code == 405


def test_health_needs_no_key_and_says_nothing_else(api: Api) -> None:
    assert api.get("/healthz", who=None).json() == {"status": "ok"}
    assert api.get("/readyz", who=None).json() == {"ready": True}


def test_a_server_whose_database_is_gone_is_alive_and_not_ready(lite: Api, caplog: pytest.LogCaptureFixture) -> None:
    from sqlalchemy import text

    from trimtab.store.engine import writing

    with writing(lite.trimtab.engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    assert lite.get("/healthz", who=None).status_code == 200
    response = lite.get("/readyz", who=None)
    assert problem(response, 503, "storage_unavailable") == "not ready; the server's log says why"
    assert response.headers["retry-after"] == "1"
    assert "the database has schema 0000" in caplog.text


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(lite: Api) -> None:
    detail = problem(lite.post("/api/events", content=b" " * (MAX_BODY + 1)), 413, "too_large")
    assert str(MAX_BODY) in detail


def test_a_body_of_unknown_length_is_refused_when_it_passes_the_limit(lite: Api) -> None:
    chunks = (b" " * 1_000_000 for _ in range(20))
    problem(lite.post("/api/events", content=chunks), 413, "too_large")


def test_a_body_within_the_limit_may_come_in_pieces(lite: Api) -> None:
    assert lite.post("/api/events", content=iter([b"[", b"]"])).json()["receipts"] == []


@pytest.mark.parametrize("path", ["/api/events", "/api/active/pause", "/api/active/bundles/upload?agent=mail"])
def test_a_gzip_bomb_is_refused_wherever_it_is_sent(lite: Api, path: str) -> None:
    bomb = gzip.compress(b"0" * (MAX_BODY + 1))
    assert len(bomb) < 10_000
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    problem(lite.post(path, content=bomb, headers=headers), 413, "too_large")


def test_a_packed_body_is_unpacked_on_every_route(lite: Api) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    packed = gzip.compress(b'{"reason": "holiday"}')
    assert lite.post("/api/active/pause", content=packed, headers=headers).json() == {"paused": True}


@pytest.mark.parametrize(
    "packed",
    [b"no gzip", gzip.compress(b"[]")[:-3], gzip.compress(b"[]") + b"more", gzip.compress(b"[]") * 2, b"",
     zlib.compress(b"[]")],
    ids=["no gzip", "cut off", "more behind it", "two members", "nothing", "zlib"],
)  # fmt: skip
def test_what_is_not_one_whole_gzip_member_is_refused(lite: Api, packed: bytes) -> None:
    response = lite.post("/api/events", content=packed, headers={"Content-Encoding": "gzip"})
    problem(response, 422, "invalid_input")


def test_an_encoding_that_nobody_knows_is_refused(lite: Api) -> None:
    response = lite.post("/api/events", content=b"[]", headers={"Content-Encoding": "br"})
    problem(response, 415, "unsupported_media")


def test_unpacking_stops_at_the_limit_exactly() -> None:
    assert gunzip(gzip.compress(b"0" * MAX_BODY)) == b"0" * MAX_BODY


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "body.reason: Field required"),
        ({"reason": 7}, "body.reason: Input should be a valid string"),
        ({"reason": ""}, "body.reason: String should have at least 1 character"),
        ({"reason": "x", "actor": "somebody"}, "body.actor: Extra inputs are not permitted"),
        ([], "body"),
    ],
)
def test_a_body_of_another_shape_is_refused_naming_the_place(lite: Api, body: Any, said: str) -> None:
    response = lite.post("/api/active/pause", json=body)
    assert said in problem(response, 422, "invalid_input")
    assert response.json()["errors"][0]["at"].startswith("body")


def test_what_is_no_json_is_refused_without_quoting_it(lite: Api) -> None:
    headers = {"Content-Type": "application/json"}
    response = lite.post("/api/active/pause", content=b'{"reason": "my secret', headers=headers)
    assert "my secret" not in problem(response, 422, "invalid_input")


def test_a_body_without_its_media_type_is_not_taken_for_json(lite: Api) -> None:
    response = lite.post("/api/active/pause", content=b'{"reason": "x"}', headers={"Content-Type": "text/plain"})
    problem(response, 422, "invalid_input")


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many", "1e3"])
def test_a_limit_is_a_whole_number_that_a_page_can_hold(lite: Api, limit: str) -> None:
    assert "query.limit" in problem(lite.get("/api/audit", params={"limit": limit}), 422, "invalid_input")


@pytest.mark.parametrize(
    "path",
    ["/api/agents/%00", "/api/rollouts/%00", "/api/packets/%00%00%00%00%00%00", "/api/serving/..%2F..%2Fetc",
     "/api/active/weights/%ff", "/api/active/canaries/%F0%9F%90%9F/performance", "/api/active/bundles/%00/active"],
)  # fmt: skip
def test_a_hostile_name_is_the_name_of_nothing(api: Api, path: str) -> None:
    problem(api.get(path), 404, "not_found")


def test_a_subject_that_no_database_can_hold_is_refused(api: Api) -> None:
    problem(api.get("/api/audit", params={"subject": "a\0b"}), 422, "invalid_input")


def test_a_method_that_a_path_does_not_take_is_named(lite: Api) -> None:
    response = lite.call("DELETE", "/api/active/pause")
    assert "POST" in problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_a_bug_ends_in_an_answer_without_internals_and_a_line_in_the_log(
    lite: Api, caplog: pytest.LogCaptureFixture
) -> None:
    lite.client.app.add_api_route("/api/broken", lambda: 1 / 0)  # type: ignore[attr-defined]
    with caplog.at_level(logging.INFO):
        response = lite.get("/api/broken")
    detail = problem(response, 500, "unexpected")
    assert "ZeroDivision" not in response.text
    assert response.headers["x-request-id"] in detail
    assert f"request={response.headers['x-request-id']}" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_the_log_tells_every_request_and_no_secret(lite: Api, caplog: pytest.LogCaptureFixture) -> None:
    add_agent(lite.trimtab)
    with caplog.at_level(logging.DEBUG):
        lite.get("/api/agents/mail%0Aforged=line?note=private")
        lite.post("/api/active/pause", json={"reason": "my private reason"})
    lines = [record.getMessage() for record in caplog.records if record.name == "trimtab.server.requests"]
    assert "status=404" in lines[0]
    assert "actor='vera'" in lines[0]
    assert "\n" not in lines[0]
    assert "status=200" in lines[1]
    told = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    for hidden in ("private", *(key[12:] for key in lite.keys.values())):
        assert hidden not in told
