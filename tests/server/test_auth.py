from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest
from tests.server.steps import Api, key, problem
from tests.services.steps import ADMIN, open_trimtab

from trimtab.clock import SimulatedClock
from trimtab.core.rights import Role


def test_who_has_no_key_is_asked_for_one(api: Api) -> None:
    response = api.get("/api/active/status", who=None)
    assert "Authorization: Bearer" in problem(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == 'Bearer realm="trimtab"'


@pytest.mark.parametrize("path", ["/", "/api", "/api/nothing/here", "/docs", "/openapi.json", "/healthz/", "/readyz/x"])
def test_without_a_key_nobody_learns_which_paths_exist(lite: Api, path: str) -> None:
    problem(lite.get(path, who=None), 401, "unauthenticated")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YWRhOmFkYQ==", "tt_abcdefgh_" + "x" * 43, "Bearer tt_abcdefgh_" + "x" * 43,
     "Bearer tt_abcdefgh_" + "x" * 42, "Bearer ' OR 1=1 --", "Bearer " + "y" * 5000],
)  # fmt: skip
def test_what_is_no_known_key_opens_nothing(lite: Api, header: str) -> None:
    problem(lite.get("/api/active/status", who=None, headers={"Authorization": header}), 401, "unauthenticated")


def test_two_keys_at_once_are_nobody(lite: Api) -> None:
    headers = [("Authorization", f"Bearer {lite.keys['ada']}"), ("Authorization", f"Bearer {lite.keys['vera']}")]
    problem(lite.client.get("/api/active/status", headers=headers), 401, "unauthenticated")


def test_the_prefix_of_a_key_does_not_open_what_its_secret_opens(lite: Api) -> None:
    mine, other = lite.keys["vera"], lite.keys["ada"]
    crossed = other[:12] + mine[12:]
    response = lite.get("/api/agents", who=None, headers={"Authorization": f"Bearer {crossed}"})
    assert "not known" in problem(response, 401, "unauthenticated")


def test_a_key_opens_until_it_expires(api: Api, clock: SimulatedClock) -> None:
    api.keys["short"] = key(api.trimtab, "short", Role.VIEWER, days=1)
    assert api.get("/api/agents", who="short").status_code == 200
    clock.advance(timedelta(days=1))
    assert "expired" in problem(api.get("/api/agents", who="short"), 401, "unauthenticated")


def test_a_revoked_key_is_refused_from_the_next_request_on(api: Api) -> None:
    assert api.get("/api/agents", who="vera").status_code == 200
    api.trimtab.api_keys.revoke(ADMIN, api.keys["vera"][3:11])
    assert "revoked" in problem(api.get("/api/agents", who="vera"), 401, "unauthenticated")


def test_the_wrong_role_is_told_which_roles_may(api: Api) -> None:
    detail = problem(api.post("/api/active/pause", who="vera", json={"reason": "holiday"}), 403, "forbidden")
    assert "vera is viewer and may not roll_out" in detail
    assert "operator" in detail


def test_an_agent_s_key_sends_and_is_served_and_sees_nothing_else(lite: Api) -> None:
    problem(lite.get("/api/active/status", who="mailbot"), 403, "forbidden")
    assert lite.post("/api/events", who="mailbot", json=[]).status_code == 200
    problem(lite.get("/api/serving/nobody", who="mailbot"), 404, "not_found")


def test_who_acts_is_the_name_of_the_key(lite: Api) -> None:
    lite.good("POST", "/api/active/pause", who="olga", json={"reason": "holiday"})
    newest = lite.good("GET", "/api/audit", who="olga", params={"limit": 1})["events"][0]
    assert (newest["actor"], newest["role"], newest["action"]) == ("olga", "operator", "loop.pause")


def test_a_request_that_reads_works_while_the_use_of_its_key_cannot_be_noted(
    sqlite_url: str, clock: SimulatedClock
) -> None:
    trimtab = open_trimtab(f"{sqlite_url}?timeout=0.01", clock)
    api = Api(trimtab)
    assert api.keys["vera"] != api.keys["olga"]
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with api.client:
        assert api.get("/api/agents").status_code == 200
        detail = problem(api.post("/api/active/pause", json={"reason": "holiday"}), 503, "storage_unavailable")
        assert "another process holds the write lock" in detail
        other.execute("ROLLBACK")
        assert api.post("/api/active/pause", json={"reason": "holiday"}).status_code == 200
    other.close()
    trimtab.close()
