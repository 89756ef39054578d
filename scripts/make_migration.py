"""Write the next migration from the difference between the tables and the newest schema.

    python scripts/make_migration.py 0002 "what changes"

Read the result before committing it: renames and data moves need a hand.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from alembic import command
from sqlalchemy.types import TypeEngine

from trimtab.store.engine import open_engine, writing
from trimtab.store.migrations import _config, _run
from trimtab.store.types import Document, Id, UtcTime


def _render(kind: str, obj: Any, autogen_context: Any) -> str | bool:
    if kind != "type" or not isinstance(obj, TypeEngine):
        return False
    for name, known in (("UtcTime()", UtcTime), ("Document", type(Document)), ("Id", type(Id))):
        if isinstance(obj, known):
            autogen_context.imports.add("from trimtab.store.types import Document, Id, UtcTime")
            return name
    return False


def main() -> None:
    revision, message = sys.argv[1], sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'schema.db'}")
        with writing(engine) as connection:
            if any((Path(__file__).parent.parent / "src/trimtab/store/migrations/versions").glob("[0-9]*.py")):
                _run(connection)
            config = _config()
            config.attributes["connection"] = connection
            config.attributes["render_item"] = _render
            command.revision(config, message=message, autogenerate=True, rev_id=revision)


if __name__ == "__main__":
    main()
