"""Delivering events from a thread of its own: batched, retried, counted, never on the agent's time."""

from __future__ import annotations

import threading
import time
from collections import deque

from trimtab.core.events import AnyEvent
from trimtab.sdk.transport import Transport

BATCH = 500
INTERVAL_S = 0.2
LONGEST_WAIT_S = 30.0
MAX_QUEUED = 100_000


class Sender:
    """A bounded queue and the thread that empties it. Full: the oldest go first, and are counted."""

    def __init__(self, transport: Transport, *, max_queued: int = MAX_QUEUED) -> None:
        self._transport = transport
        self._queue: deque[AnyEvent] = deque()
        self._max = max_queued
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self.sent = self.duplicate = self.rejected = self.dropped = 0
        self.last_error: str | None = None
        self.last_rejection: str | None = None

    def put(self, event: AnyEvent) -> None:
        """Queue an event; never blocks on delivery."""
        with self._lock:
            if len(self._queue) >= self._max:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(event)
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="trimtab-sender", daemon=True)
                self._thread.start()
        if len(self._queue) >= BATCH:
            self._wake.set()

    @property
    def queued(self) -> int:
        return len(self._queue)

    def flush(self, timeout: float) -> bool:
        """Deliver everything queued so far; False when that did not work within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        wait = 0.05
        while self._queue:
            if self._deliver():
                continue
            if time.monotonic() + wait > deadline:
                return False
            time.sleep(wait)
            wait = min(2 * wait, 1.0)
        with self._sending:  # a batch that the thread took before is under way until here
            return not self._queue

    def close(self, timeout: float) -> bool:
        """Flush and stop the thread."""
        self._closing = True
        delivered = self.flush(timeout)
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
        return delivered

    def _run(self) -> None:
        wait = INTERVAL_S
        while not self._closing:
            self._wake.wait(wait)
            self._wake.clear()
            wait = INTERVAL_S
            while self._queue and not self._closing:
                if not self._deliver():
                    wait = min(max(2 * wait, 0.5), LONGEST_WAIT_S)
                    break

    def _deliver(self) -> bool:
        """Send one batch; on failure it goes back to the head of the queue."""
        with self._sending:
            with self._lock:
                batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            if not batch:
                return True
            try:
                sent = self._transport.send(batch)
            except Exception as error:  # noqa: BLE001 - whatever broke, the batch is kept, said, and tried again
                self.last_error = str(error) or type(error).__name__
                with self._lock:
                    self._queue.extendleft(reversed(batch))
                return False
            self.last_error = None
            self.sent += sent.accepted
            self.duplicate += sent.duplicate
            self.rejected += sent.rejected
            if sent.reasons:
                self.last_rejection = sent.reasons[-1]
            return True
