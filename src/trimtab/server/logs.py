"""Logging of a server process: one line each on stderr, key=value, in UTC."""

from __future__ import annotations

import logging
import sys
import time


class _Line(logging.Formatter):
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("at=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s")
        self.converter = time.gmtime


def configure() -> None:
    """Trimtab's own lines from INFO on, everybody else's from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("trimtab").setLevel(logging.INFO)
