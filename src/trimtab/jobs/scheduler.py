"""The scheduler: a thread that runs what is due, every few seconds, until it is told to stop.

It decides nothing: each due time is one row in `job_runs`, taken by lease, so any number of schedulers on one database
run it once. One that dies leaves a lease that ends; another one takes the run over.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from trimtab.bootstrap import Trimtab
from trimtab.errors import StorageError
from trimtab.jobs.runner import JobReport, run_due

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=1)


class Scheduler:
    """Runs due jobs in a thread of its own."""

    def __init__(self, trimtab: Trimtab, *, worker: str, every: timedelta = EVERY) -> None:
        self._trimtab = trimtab
        self._worker = worker[:200]
        self._every = self.wait = every  # `wait`: until the next turn
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin at once. A daemon thread: a process that must end does not wait for a job longer than `stop` does."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="trimtab-scheduler", daemon=True)
            self._thread.start()
            log.info("scheduler=started worker=%r every_s=%g", self._worker, self._every.total_seconds())

    def stop(self, timeout: timedelta = timedelta(seconds=10)) -> bool:
        """Begin nothing more and wait for the job under way; False when it took longer than `timeout`."""
        self._stopping.set()
        if self._thread is None:
            return True
        self._thread.join(timeout.total_seconds())
        ended = not self._thread.is_alive()
        if ended:
            log.info("scheduler=stopped worker=%r", self._worker)
        else:
            log.warning("scheduler=abandoned worker=%r reason='a job still runs'", self._worker)
        return ended

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.turn()
            self._stopping.wait(self.wait.total_seconds())

    def turn(self) -> list[JobReport]:
        """Run what is due now. Whatever goes wrong is logged, and the next turn comes later."""
        try:
            reports = run_due(self._trimtab, worker=self._worker)
        except StorageError as error:
            self._back_off()
            log.warning("scheduler=waiting wait_s=%g reason=%r", self.wait.total_seconds(), str(error))
            return []
        except Exception:  # one bad turn must not end all regular work for good
            self._back_off()
            log.exception("scheduler=waiting wait_s=%g reason='something unexpected'", self.wait.total_seconds())
            return []
        self.wait = self._every
        for one in reports:
            level = logging.INFO if one.error is None else logging.ERROR
            why = "" if one.error is None else f" error={one.error.strip().splitlines()[-1]!r}"
            log.log(level, "job=%s due_at=%s state=%s%s", one.name, one.due_at.isoformat(), one.state.value, why)
        return reports

    def _back_off(self) -> None:
        self.wait = min(2 * self.wait, LONGEST_WAIT)
