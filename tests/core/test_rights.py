from __future__ import annotations

import pytest

from trimtab.core.rights import RIGHTS, SYSTEM, Actor, Right, Role
from trimtab.errors import ForbiddenError, InvalidInputError

# One row per role, one column per right: r(ead) i(ngest) v(review) l(abel) t(rain) p(ropose) a(pprove) o(roll out)
# j(obs) c(onfigure).
TABLE = {
    Role.VIEWER: "r.........",
    Role.AGENT: ".i........",
    Role.REVIEWER: "r.vl......",
    Role.APPROVER: "r.vl..a...",
    Role.OPERATOR: "rivltp.oj.",
    Role.ADMIN: "rivltpaojc",
}
CELLS = [(role, right, cell != ".") for role, row in TABLE.items() for right, cell in zip(Right, row, strict=True)]


def test_the_table_names_every_role() -> None:
    assert set(TABLE) == set(Role) == set(RIGHTS)


@pytest.mark.parametrize(("role", "right", "may"), CELLS, ids=[f"{role}-{right}" for role, right, _ in CELLS])
def test_a_role_may_exactly_what_its_row_says(role: Role, right: Right, may: bool) -> None:
    actor = Actor(name="somebody", role=role)
    if may:
        actor.require(right)
        return
    with pytest.raises(ForbiddenError, match=f"somebody is {role} and may not {right}: ask one of these roles: "):
        actor.require(right)


def test_one_of_several_rights_is_enough() -> None:
    Actor(name="bot", role=Role.AGENT).require_any(Right.READ, Right.INGEST)
    with pytest.raises(ForbiddenError, match="may not read or review"):
        Actor(name="bot", role=Role.AGENT).require_any(Right.READ, Right.REVIEW)


def test_a_refusal_names_the_roles_that_may() -> None:
    with pytest.raises(ForbiddenError, match=r"ask one of these roles: admin, approver$"):
        Actor(name="olga", role=Role.OPERATOR).require(Right.APPROVE)


def test_nobody_who_proposes_by_role_also_approves_by_role_but_the_admin() -> None:
    both = {role for role, rights in RIGHTS.items() if {Right.PROPOSE, Right.APPROVE} <= rights}
    assert both == {Role.ADMIN}


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\nb", "a\0b", "\ud800"])
def test_an_actor_needs_a_name_that_can_be_shown(name: str) -> None:
    with pytest.raises(InvalidInputError, match="actor: a name of 1 to 200 printable characters"):
        Actor(name=name, role=Role.VIEWER)


def test_the_system_may_do_its_jobs() -> None:
    SYSTEM.require(Right.RUN_JOBS)
