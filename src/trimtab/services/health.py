"""Whether this process can do its work: the database answers, and its schema is the one that this code writes."""

from __future__ import annotations

from functools import cache

from trimtab.errors import SchemaVersionError
from trimtab.services.context import Context
from trimtab.store import migrations


class Health:
    """What a load balancer asks."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def check(self) -> None:
        """Raises StorageError when the database does not answer, SchemaVersionError when it is another schema's."""
        there = migrations.current(self._context.engine)
        if there != _wanted():
            raise SchemaVersionError(
                f"the database has schema {there or 'none'}, this version needs {_wanted()}; run: trimtab db migrate"
            )


@cache
def _wanted() -> str:
    """The newest migration of this installation: reading the files once is enough."""
    return migrations.head()
