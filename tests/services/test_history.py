from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from sqlalchemy import Table, delete, select, update
from tests.services.steps import (
    ADMIN,
    AGENT,
    APPROVER,
    MAIL,
    OPERATOR,
    VIEWER,
    agent_with_rollout,
    answer_all,
    serve,
    truth,
    upload,
)

from trimtab.bootstrap import Trimtab
from trimtab.core.chains import GENESIS
from trimtab.errors import ForbiddenError, InvalidInputError, NotFoundError
from trimtab.store import tables
from trimtab.store.engine import reading, writing


@pytest.fixture
def lived(trimtab: Trimtab) -> Trimtab:
    """A loop with a past: two bundles, an ended rollout and a held one."""
    agent_with_rollout(trimtab)
    serve(trimtab, [4, 0, 8])
    trimtab.reviews.sample(OPERATOR, budget=3)
    answer_all(trimtab, lambda payload: truth(payload["links"]))
    trimtab.rollouts.promote(OPERATOR, MAIL, reason="good enough")
    agent_with_rollout(trimtab, "other")
    trimtab.rollouts.hold(OPERATOR, "other", reason="holiday")
    return trimtab


def tamper(trimtab: Trimtab, statement: Any) -> None:
    with writing(trimtab.engine) as connection:
        connection.execute(statement)


def forged(trimtab: Trimtab, table: Table, seq: int, **content: Any) -> dict[str, Any]:
    """An entry with other content whose hash fits again."""
    with reading(trimtab.engine) as connection:
        body = connection.execute(select(table.c.body).where(table.c.seq == seq)).scalar_one()
    text = json.dumps({**json.loads(body), **content}, sort_keys=True, separators=(",", ":"))
    return {"body": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def test_after_a_life_of_decisions_everything_can_be_proven(lived: Trimtab) -> None:
    proof = lived.history.verify(VIEWER)
    assert proof.holds
    assert (proof.audit.broken_at, proof.packets.broken_at, proof.problems) == (None, None, ())
    assert proof.audit.length > 15
    assert proof.packets.length == 3


def test_an_empty_history_holds(trimtab: Trimtab) -> None:
    proof = trimtab.history.verify(VIEWER)
    assert (proof.holds, proof.audit.length, proof.audit.head) == (True, 0, GENESIS)


@pytest.mark.parametrize("table", [tables.audit, tables.packets], ids=["audit", "packets"])
def test_a_changed_entry_is_named(lived: Trimtab, table: Table) -> None:
    tamper(lived, update(table).where(table.c.seq == 2).values(body="{}"))
    proof = lived.history.verify(VIEWER)
    report = proof.audit if table is tables.audit else proof.packets
    assert (proof.holds, report.broken_at, report.length) == (False, 2, 1)
    assert "entry 2 was changed" in (report.problem or "")


@pytest.mark.parametrize("table", [tables.audit, tables.packets], ids=["audit", "packets"])
def test_a_removed_entry_is_named(lived: Trimtab, table: Table) -> None:
    tamper(lived, delete(table).where(table.c.seq == 2))
    proof = lived.history.verify(VIEWER)
    report = proof.audit if table is tables.audit else proof.packets
    assert (report.broken_at, report.problem) == (3, "entry 2 is missing: the next one found is 3")


def test_an_entry_rewritten_with_a_fitting_hash_breaks_the_next_one(lived: Trimtab) -> None:
    values = forged(lived, tables.audit, 4, actor="nobody")
    tamper(lived, update(tables.audit).where(tables.audit.c.seq == 4).values(**values))
    report = lived.history.verify(VIEWER).audit
    assert report.broken_at == 5
    assert "does not follow the entry before it" in (report.problem or "")


def test_an_entry_that_is_no_object_is_named_instead_of_breaking_the_proof(lived: Trimtab) -> None:
    last = lived.history.verify(VIEWER).audit.length
    values = {"body": "[]", "sha256": hashlib.sha256(b"[]").hexdigest()}
    tamper(lived, update(tables.audit).where(tables.audit.c.seq == last).values(**values))
    assert lived.history.verify(VIEWER).audit.problem == f"entry {last} is no JSON object"


def test_a_verdict_rewritten_by_somebody_without_the_key_is_found_by_its_signature(lived: Trimtab) -> None:
    values = forged(lived, tables.packets, 3, reason="what I wish had been said")
    tamper(lived, update(tables.packets).where(tables.packets.c.seq == 3).values(**values))
    proof = lived.history.verify(VIEWER)
    assert proof.packets.holds  # it is the last one, so no later hash contradicts it
    assert any("its signature does not belong to its text" in problem for problem in proof.problems)


def test_a_verdict_without_signature_or_with_an_unknown_key_is_named(lived: Trimtab) -> None:
    packet = tables.packets.c.seq == 2
    tamper(lived, update(tables.packets).where(packet).values(signature=None))
    assert any("packet 2" in one and "is not signed" in one for one in lived.history.verify(VIEWER).problems)
    tamper(lived, update(tables.packets).where(packet).values(signature="?", key_id="0" * 64))
    assert any("a key that is not known here" in one for one in lived.history.verify(VIEWER).problems)


def test_a_public_key_that_was_exchanged_is_noticed(lived: Trimtab) -> None:
    for other in (base64.b64encode(b"x" * 32).decode(), "no base64 at all"):
        tamper(lived, update(tables.signing_keys).values(public_key=other))
        assert any("a key that is not known here" in one for one in lived.history.verify(VIEWER).problems)


def test_after_rotating_the_key_old_and_new_verdicts_verify(lived: Trimtab) -> None:
    (old,) = lived.signing.keys(VIEWER)
    signer = lived.signing.rotate(ADMIN)
    assert [row.key_id for row in lived.signing.keys(VIEWER)][-1] == signer.key_id != old.key_id
    assert lived.history.verify(VIEWER).holds
    with pytest.raises(ForbiddenError):
        lived.signing.rotate(OPERATOR)


def test_the_signing_key_is_registered_once_with_one_audit_event(lived: Trimtab) -> None:
    registered = [one for one in lived.history.audit(VIEWER, limit=500) if one["action"] == "signing_key.register"]
    assert len(registered) == len(lived.signing.keys(VIEWER)) == 1


def test_a_rollout_that_says_another_end_than_its_packet_is_named(lived: Trimtab) -> None:
    ended = next(one for one in lived.rollouts.listing(VIEWER, agent=MAIL) if one.ended_at)
    tamper(lived, update(tables.rollouts).where(tables.rollouts.c.id == ended.id).values(state="rolled_back"))
    (problem,) = lived.history.verify(VIEWER).problems
    assert problem == f"rollout {ended.id} is rolled_back, which its last packet does not say"


def test_a_missing_verdict_is_named_even_when_it_was_the_last(lived: Trimtab) -> None:
    tamper(lived, delete(tables.packets).where(tables.packets.c.seq == 3))
    proof = lived.history.verify(VIEWER)
    assert proof.packets.holds
    assert any("of its event 1 (start) is missing" in problem for problem in proof.problems)


def test_a_plan_changed_after_its_registration_is_named(lived: Trimtab) -> None:
    rollout = lived.rollouts.listing(VIEWER, agent=MAIL)[0]
    row = tables.rollouts.c.id == rollout.id
    tamper(lived, update(tables.rollouts).where(row).values(plan={**rollout.plan.to_mapping(), "min_labels": 1}))
    assert lived.history.verify(VIEWER).problems == (
        f"rollout {rollout.id}: its plan was changed after it was registered",
    )
    tamper(lived, update(tables.rollouts).where(row).values(plan={"steps": "all"}))
    (problem,) = lived.history.verify(VIEWER).problems
    assert problem.startswith(f"rollout {rollout.id}: its plan does not hold: plan.steps")


def test_a_pointer_moved_past_the_guard_is_named(lived: Trimtab) -> None:
    tamper(lived, update(tables.pointers).where(tables.pointers.c.agent == "other").values(share=1.0))
    assert lived.history.verify(VIEWER).problems == (
        "agent other serves another challenger or share than its rollouts say",
    )


def test_a_packet_is_found_by_the_beginning_of_its_hash(lived: Trimtab) -> None:
    rollout = lived.rollouts.live(VIEWER, "other")
    (packet,) = lived.history.packets(VIEWER, rollout.id)
    assert lived.history.packet(VIEWER, packet["sha256"][:12]) == packet
    for name in ("", "abc", "f" * 64, "%" * 10, "\0" * 8):
        with pytest.raises(NotFoundError, match="does not exist"):
            lived.history.packet(VIEWER, name)


def test_the_audit_log_shows_the_newest_first_and_one_subject_when_asked(lived: Trimtab) -> None:
    events = lived.history.audit(VIEWER, limit=500)
    assert [one["seq"] for one in events] == sorted((one["seq"] for one in events), reverse=True)
    about = lived.history.audit(VIEWER, subject="other")
    assert {one["subject"] for one in about} == {"other"}
    assert about[0]["action"] == "rollout.hold"
    with pytest.raises(ForbiddenError):
        lived.history.audit(AGENT)


def test_the_status_shows_where_the_loop_stands(lived: Trimtab) -> None:
    lived.proposals.create(OPERATOR, MAIL, upload(lived, 2).sha256)
    status = lived.loop.status(VIEWER)
    mail, other = status.agents
    assert (mail.agent, mail.rollout, mail.decisions, mail.labels, mail.open_questions) == (MAIL, None, 3, 3, 0)
    assert mail.open_proposals == 1
    assert other.rollout is not None
    assert (other.rollout["state"], other.share, other.challenger is None) == ("held", 0.5, False)
    assert not status.paused


def test_pausing_twice_is_one_event_and_needs_a_reason(lived: Trimtab) -> None:
    with pytest.raises(InvalidInputError, match="say why"):
        lived.loop.pause(OPERATOR, reason=" ")
    with pytest.raises(ForbiddenError):
        lived.loop.pause(APPROVER, reason="mine")
    lived.loop.pause(OPERATOR, reason="drill")
    lived.loop.pause(OPERATOR, reason="drill again")
    assert lived.loop.paused()
    assert lived.loop.status(VIEWER).paused
    assert [one["action"] for one in lived.history.audit(VIEWER, subject="loop")] == ["loop.pause"]
