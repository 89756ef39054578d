from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from datetime import timedelta
from typing import Any

import pytest
from tests.server.steps import Api, problem
from tests.services.steps import (
    ADMIN,
    MAIL,
    OPERATOR,
    QUICK,
    add_agent,
    agent_with_rollout,
    crown,
    gold,
    labelled_rows,
    rule_bundle,
    serve,
    spec,
    verdict,
)

from trimtab.cli.app import app
from trimtab.services.decisions import ReceiptStatus


def test_a_loop_with_nothing_in_it_says_so_and_invents_no_figure(api: Api) -> None:
    assert api.good("GET", "/api/active/status", who="vera") == {"paused": False, "agents": []}
    assert api.good("GET", "/api/agents", who="vera") == {"agents": []}
    stats = api.good("GET", "/api/active/stats/labeled", who="vera")
    assert (stats["total"], stats["conflicts"]) == (0, None)
    assert api.good("GET", "/api/active/weights", who="vera") == {"weights": {}}
    assert api.good("GET", "/api/active/review/queue", who="vera") == {"items": []}
    assert api.good("GET", "/api/active/review/stats", who="vera") == {"stats": [], "agreement": []}
    assert api.good("GET", "/api/active/approvals/pending", who="vera") == {"proposals": []}
    assert api.good("GET", "/api/active/canaries/active", who="vera") == {"rollouts": []}
    assert api.good("GET", "/api/rollouts", who="vera") == {"rollouts": []}


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/api/agents/nobody", {}),
        ("GET", "/api/serving/nobody", {}),
        ("GET", "/api/active/stats/labeled?agent=nobody", {}),
        ("POST", "/api/active/feeds/load", {"json": {"agent": "nobody"}}),
        ("POST", "/api/active/bundles/create", {"json": {"agent": "nobody"}}),
        ("POST", "/api/active/bundles/propose", {"json": {"agent": "nobody", "bundle": "abcdef"}}),
        ("GET", "/api/active/bundles/nobody/active", {}),
        ("POST", "/api/active/bundles/upload?agent=nobody", {"content": b"{}"}),
        ("GET", "/api/active/approvals/pending?agent=nobody", {}),
        ("POST", "/api/active/approvals/nothing/approve", {}),
        ("POST", "/api/active/approvals/nothing/reject", {"json": {"reason": "no"}}),
        ("POST", "/api/active/approvals/nothing/apply", {}),
        ("GET", "/api/active/canaries/nobody/performance", {}),
        ("POST", "/api/active/canaries/nobody/promote", {"json": {"reason": "yes"}}),
        ("POST", "/api/active/canaries/nobody/rollback", {"json": {"reason": "no"}}),
        ("GET", "/api/active/weights/nobody", {}),
        ("POST", "/api/active/weights/update", {"json": {"agent": "nobody"}}),
        ("GET", "/api/active/review/queue?agent=nobody", {}),
        ("GET", "/api/active/review/stats?agent=nobody", {}),
        ("GET", "/api/rollouts?agent=nobody", {}),
        ("GET", "/api/rollouts/nothing", {}),
        ("GET", "/api/packets/abcdef", {}),
        ("POST", "/api/jobs/nothing/run", {}),
        ("GET", "/api/jobs?name=nothing", {}),
    ],
)
def test_what_does_not_exist_is_not_found(lite: Api, method: str, path: str, more: dict[str, Any]) -> None:
    problem(lite.call(method, path, **more), 404, "not_found")


def test_from_labels_to_a_champion_by_four_eyes(api: Api) -> None:
    add_agent(api.trimtab)
    api.trimtab.labels.add_rows(OPERATOR, MAIL, labelled_rows(120), name="history")
    assert api.good("GET", "/api/active/stats/labeled", params={"agent": MAIL})["total"] == 120
    problem(api.get(f"/api/active/bundles/{MAIL}/active"), 409, "conflict")

    trained = api.post("/api/active/bundles/create", json={"agent": MAIL, "seed": 1})
    assert trained.status_code == 201
    sha256 = trained.json()["sha256"]
    assert trained.json()["report"]
    proposed = api.post("/api/active/bundles/propose", json={"agent": MAIL, "bundle": sha256[:12], "note": "better"})
    assert proposed.status_code == 201
    proposal = proposed.json()
    assert (proposal["state"], proposal["proposer"], proposal["bundle"]) == ("pending", "olga", sha256)
    pending = api.good("GET", "/api/active/approvals/pending", params={"agent": MAIL})["proposals"]
    assert pending == [proposal]

    path = f"/api/active/approvals/{proposal['id']}"
    problem(api.post(f"{path}/approve", who="olga"), 403, "forbidden")
    problem(api.post(f"{path}/apply", who="olga"), 409, "illegal_transition")
    approved = api.good("POST", f"{path}/approve", who="abel", json={"reason": "looks right"})
    assert (approved["state"], approved["decided_by"], approved["reason"]) == ("approved", "abel", "looks right")
    problem(api.post(f"{path}/reject", who="abel", json={"reason": "no"}), 409, "illegal_transition")
    assert api.good("GET", "/api/active/approvals/pending") == {"proposals": []}
    applied = api.good("POST", f"{path}/apply", who="olga")
    assert (applied["proposal"]["state"], applied["rollout_id"]) == ("applied", None)
    champion = api.good("GET", f"/api/active/bundles/{MAIL}/active", who="vera")
    assert champion["sha256"] == sha256
    assert champion["bundle"]["agent"] == MAIL


def test_nobody_decides_on_a_proposal_of_the_same_name_whatever_the_role(api: Api) -> None:
    add_agent(api.trimtab)
    bundle = rule_bundle(spec(), 3)
    api.good("POST", "/api/active/bundles/upload", params={"agent": MAIL}, content=bundle.to_json().encode())
    proposal = api.good("POST", "/api/active/bundles/propose", who="ada", json={"agent": MAIL, "bundle": bundle.sha256})
    for action, body in (("approve", {}), ("reject", {"reason": "no"})):
        response = api.post(f"/api/active/approvals/{proposal['id']}/{action}", who="ada", json=body)
        problem(response, 403, "four_eyes")
    assert api.good("POST", f"/api/active/approvals/{proposal['id']}/approve", who="abel")["state"] == "approved"


def test_a_bundle_is_uploaded_once_and_only_as_what_it_must_be(lite: Api) -> None:
    add_agent(lite.trimtab)
    bundle = rule_bundle(spec(), 3)
    body = bundle.to_json().encode()
    asked = {"agent": MAIL, "sha256": bundle.sha256}
    first = lite.post("/api/active/bundles/upload", params=asked, content=body)
    assert (first.status_code, first.json()["new"], first.json()["verified"]) == (201, True, True)
    again = lite.post("/api/active/bundles/upload", params={"agent": MAIL}, content=body)
    assert (again.status_code, again.json()["new"], again.json()["verified"]) == (200, False, False)
    wrong = {"agent": MAIL, "sha256": "0" * 64}
    problem(lite.post("/api/active/bundles/upload", params=wrong, content=body), 422, "invalid_bundle")
    for hostile in (b"", b"[]", b"{", b'{"a": ' * 9000, body.replace(b"0.9", b"NaN"), b"\xff" * 100):
        response = lite.post("/api/active/bundles/upload", params={"agent": MAIL}, content=hostile)
        problem(response, 422, "invalid_bundle")


def test_a_rollout_is_watched_and_rolled_back_by_hand(api: Api) -> None:
    rollout = agent_with_rollout(api.trimtab)
    serve(api.trimtab, [0, 3, 4, 5] * 5)
    live = api.good("GET", "/api/active/canaries/active", who="vera")["rollouts"]
    assert [one["id"] for one in live] == [rollout.id]
    seen = api.good("GET", f"/api/active/canaries/{MAIL}/performance", who="vera")
    assert seen["rollout"]["state"] == "running"
    assert seen["assessment"]["decision"] == "hold"
    assert seen["assessment"]["missing"]
    assert [one["action"] for one in seen["events"]] == ["start"]

    path = f"/api/active/canaries/{MAIL}"
    problem(api.post(f"{path}/rollback", json={}), 422, "invalid_input")
    problem(api.post(f"{path}/rollback", json={"reason": "  "}), 422, "invalid_input")
    problem(api.post(f"{path}/rollback", who="abel", json={"reason": "worse"}), 403, "forbidden")
    ended = api.good("POST", f"{path}/rollback", who="olga", json={"reason": "looks worse"})
    assert (ended["state"], ended["share"]) == ("rolled_back", 0.0)
    problem(api.post(f"{path}/promote", json={"reason": "after all"}), 409, "illegal_transition")
    after = api.good("GET", f"/api/rollouts/{rollout.id}", who="vera")
    assert after["events"][-1]["actor"] == "olga"
    assert api.good("GET", f"/api/active/canaries/{MAIL}/performance", who="vera") == after
    assert api.good("GET", "/api/active/canaries/active") == {"rollouts": []}
    assert len(api.good("GET", "/api/rollouts", params={"agent": MAIL})["rollouts"]) == 1
    packet = api.good("GET", f"/api/packets/{after['packets'][-1]}", who="vera")
    assert packet["body"]["reason"] == "looks worse"
    assert packet["signature"]


def test_a_person_s_promotion_makes_the_challenger_champion(lite: Api) -> None:
    rollout = agent_with_rollout(lite.trimtab)
    done = lite.good("POST", f"/api/active/canaries/{MAIL}/promote", who="olga", json={"reason": "sure"})
    assert done["state"] == "promoted"
    assert lite.good("GET", f"/api/active/bundles/{MAIL}/active")["sha256"] == rollout.challenger
    shown = lite.good("GET", f"/api/agents/{MAIL}")
    assert shown["serving"]["previous"] == [rollout.champion]
    assert shown["spec"]["labels"] == ["ham", "spam"]


def test_a_plan_is_registered_with_the_application_and_a_bad_one_refused(lite: Api) -> None:
    add_agent(lite.trimtab)
    crown(lite.trimtab, 5)
    bundle = rule_bundle(spec(), 3)
    lite.good("POST", "/api/active/bundles/upload", params={"agent": MAIL}, content=bundle.to_json().encode())
    proposal = lite.good(
        "POST", "/api/active/bundles/propose", who="olga", json={"agent": MAIL, "bundle": bundle.sha256}
    )
    path = f"/api/active/approvals/{proposal['id']}"
    lite.good("POST", f"{path}/approve", who="abel")
    plan = QUICK.to_mapping()
    problem(lite.post(f"{path}/apply", json={"plan": {"steps": [1.0]}}), 422, "invalid_plan")
    problem(lite.post(f"{path}/apply", json={"plan": plan, "without_canary": True}), 422, "invalid_plan")
    problem(lite.post(f"{path}/apply", json={"without_canary": "yes"}), 422, "invalid_input")
    applied = lite.good("POST", f"{path}/apply", who="olga", json={"plan": plan})
    rollout = lite.good("GET", f"/api/rollouts/{applied['rollout_id']}")["rollout"]
    assert rollout["plan"] == plan
    assert rollout["proposal_id"] == proposal["id"]


def test_feeds_judges_and_questions_are_what_the_services_say(api: Api) -> None:
    add_agent(api.trimtab)
    crown(api.trimtab, 3)
    decisions = serve(api.trimtab, [i % 7 for i in range(30)])
    said = [verdict(one, "judge", one.label or "ham") for one in decisions]
    assert {one.status for one in api.trimtab.decisions.ingest(ADMIN, said)} == {ReceiptStatus.ACCEPTED}
    gold(api.trimtab, [(one.key, one.payload["links"], one.label or "ham") for one in decisions[:20]])
    loaded = api.good("POST", "/api/active/feeds/load", who="rita")["feeds"]
    assert {one["feed"] for one in loaded} == {"feedback", "approvals", "gold"}
    problem(api.post("/api/active/feeds/load", json={"feed": "rumours"}), 422, "invalid_input")
    updated = api.good("POST", "/api/active/weights/update", who="olga", json={"agent": MAIL})["weights"]
    assert updated[MAIL][0]["judge"] == "judge"
    weights = api.good("GET", f"/api/active/weights/{MAIL}", who="vera")["weights"]
    assert weights[0]["n"] == updated[MAIL][0]["n"]
    assert api.good("GET", "/api/active/weights", who="vera") == {"weights": {MAIL: weights}}
    ran = api.good("POST", "/api/jobs/sample_reviews/run", who="olga")
    assert ran["state"] == "succeeded"
    queue = api.good("GET", "/api/active/review/queue", who="rita", params={"agent": MAIL, "limit": 3})["items"]
    assert len(queue) == 3
    assert all(0 < one["inclusion"] <= 1 for one in queue)
    stats = api.good("GET", "/api/active/review/stats", who="vera")["stats"]
    assert sum(one["n"] for one in stats) == ran["result"][MAIL]["queued"]


def test_pausing_stops_promotions_until_somebody_resumes(lite: Api) -> None:
    agent_with_rollout(lite.trimtab)
    assert lite.good("POST", "/api/active/pause", who="olga", json={"reason": "incident"}) == {"paused": True}
    assert lite.good("GET", "/api/active/status")["paused"] is True
    promote = f"/api/active/canaries/{MAIL}/promote"
    assert "paused" in problem(lite.post(promote, json={"reason": "sure"}), 409, "conflict")
    assert lite.good("POST", "/api/active/resume", who="olga", json={"reason": "over"}) == {"paused": False}
    assert lite.good("POST", promote, who="olga", json={"reason": "sure"})["state"] == "promoted"


def test_a_job_is_run_by_hand_once_for_a_due_time_and_names_who_asked(api: Api) -> None:
    now = api.trimtab.context.now()
    body = {"due_at": (now - timedelta(hours=2)).isoformat()}
    report = api.good("POST", "/api/jobs/load_feeds/run", who="olga", json=body)
    assert (report["state"], report["error"]) == ("succeeded", None)
    problem(api.post("/api/jobs/load_feeds/run", json=body), 409, "conflict")
    for wrong in (
        "tomorrow",
        "2025-03-03T02:00:00",
        (now + timedelta(days=1)).isoformat(),
        "0001-01-01T00:00:00+14:00",
    ):
        problem(api.post("/api/jobs/load_feeds/run", json={"due_at": wrong}), 422, "invalid_input")
    seen = api.good("GET", "/api/jobs", who="vera", params={"name": "load_feeds"})
    assert [one["worker"] for one in seen["runs"]] == ["test for olga"]
    job = next(one for one in seen["jobs"] if one["name"] == "load_feeds")
    assert job["schedule"] == "daily at 02:00 UTC"
    assert job["last_success_due"] == report["due_at"]


def test_a_job_that_fails_is_an_answer_that_says_so(lite: Api) -> None:
    from sqlalchemy import text

    from trimtab.store.engine import writing

    with writing(lite.trimtab.engine) as connection:
        connection.execute(text("ALTER TABLE gold_tasks RENAME TO lost"))
    add_agent(lite.trimtab)
    report = lite.good("POST", "/api/jobs/load_feeds/run", who="olga")
    assert report["state"] == "failed"
    assert "the schema is missing" in report["error"]


def test_the_audit_log_is_read_newest_first_and_by_subject(lite: Api) -> None:
    add_agent(lite.trimtab)
    lite.good("POST", "/api/active/pause", who="olga", json={"reason": "incident"})
    events = lite.good("GET", "/api/audit", who="vera")["events"]
    assert [one["seq"] for one in events] == sorted((one["seq"] for one in events), reverse=True)
    about = lite.good("GET", "/api/audit", who="vera", params={"subject": MAIL})["events"]
    assert [one["action"] for one in about] == ["agent.add"]
    keys = lite.good("GET", "/api/audit", who="vera", params={"subject": "keys"})["events"]
    assert keys
    assert all(key.split("_", 2)[2] not in json.dumps(keys) for key in lite.keys.values())


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("/api/active/status", "status"),
        ("/api/agents", "agents list"),
        ("/api/agents/mail", "agents show mail"),
        ("/api/rollouts", "rollouts list"),
        ("/api/active/canaries/mail/performance", "rollouts show mail"),
        ("/api/active/stats/labeled?agent=mail", "labels stats --agent mail"),
        ("/api/active/review/stats", "reviews stats"),
        ("/api/audit", "audit --limit 50"),
    ],
)
def test_the_api_says_what_the_command_line_says(lite: Api, path: str, command: str) -> None:
    agent_with_rollout(lite.trimtab)
    said = lite.good("GET", path)
    shown = io.StringIO()
    with redirect_stdout(shown):
        app(
            [*command.split(), "--json", "--as", "ada", "--db", lite.trimtab.settings.database_url],
            standalone_mode=False,
        )
    expected = json.loads(shown.getvalue())
    # What depends on the moment of asking differs: the command runs on the machine's clock.
    for name in ("assessment", "last_day", "last_week"):
        said.pop(name, None)
    assert said == {name: expected[name] for name in said}
