"""A job run: one due time of one named job. Runs may happen twice; their work is idempotent."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from trimtab.errors import IllegalTransitionError


class JobState(StrEnum):
    DUE = "due"  # known, nobody works on it
    RUNNING = "running"  # a worker has it until the lease ends
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # will be tried again
    DEAD = "dead"  # failed too often; a person must look


class JobAction(StrEnum):
    START = "start"
    SUCCEED = "succeed"
    FAIL = "fail"
    GIVE_UP = "give_up"


_S, _A = JobState, JobAction

TRANSITIONS: Mapping[tuple[JobState, JobAction], JobState] = {
    (_S.DUE, _A.START): _S.RUNNING,
    (_S.RUNNING, _A.START): _S.RUNNING,  # the lease ran out: its worker died
    (_S.RUNNING, _A.SUCCEED): _S.SUCCEEDED,
    (_S.RUNNING, _A.FAIL): _S.FAILED,
    (_S.RUNNING, _A.GIVE_UP): _S.DEAD,
    (_S.FAILED, _A.START): _S.RUNNING,
    (_S.DEAD, _A.START): _S.RUNNING,  # a person asks for it again
}


def next_state(state: JobState, action: JobAction) -> JobState:
    """The state after `action`. Raises IllegalTransitionError."""
    after = TRANSITIONS.get((state, action))
    if after is None:
        raise IllegalTransitionError(f"a job run that is {state} cannot {action}")
    return after
