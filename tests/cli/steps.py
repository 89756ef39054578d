"""The command line as a test uses it, and the small world that its tests share."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from trimtab.cli.app import app

SPEC = """
agent = "triage"
labels = ["ham", "spam"]

[[features]]
name = "links"
kind = "count"

[[features]]
name = "caps"
kind = "number"
minimum = 0
maximum = 1

[guard]
steps = [0.5, 1.0]
dwell_s = 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cli:
    """Runs commands on one database as one person."""

    url: str
    folder: Path
    actor: str = "ann"

    def run(self, *arguments: object, code: int = 0, given: str | None = None, **environment: str) -> Result:
        """Run a command that must end with `code`."""
        result = CliRunner().invoke(
            app,
            [str(one) for one in arguments],
            input=given,
            env={"TRIMTAB_DATABASE_URL": self.url, "TRIMTAB_ACTOR": self.actor, "COLUMNS": "200", **environment},
        )
        assert result.exit_code == code, f"{arguments}: {result.exit_code}\n{result.stdout}\n{result.stderr}"
        return result

    def json(self, *arguments: object, code: int = 0, given: str | None = None) -> Any:
        """The JSON that a command prints."""
        return json.loads(self.run(*arguments, "--json", code=code, given=given).stdout)

    def error(self, *arguments: object, code: int) -> dict[str, str]:
        """The error that a command ends with; nothing may stand on stdout."""
        result = self.run(*arguments, "--json", code=code)
        assert result.stdout == ""
        error: dict[str, str] = json.loads(result.stderr)["error"]
        return error

    def file(self, name: str, text: str) -> Path:
        """A file with the given text."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def champion(self) -> str:
        """The bundle that serves."""
        return str(self.json("agents", "show", "triage")["serving"]["champion"])

    def proposed(self, bundle: str, by: str = "ann") -> str:
        """The id of a new proposal."""
        return str(self.json("proposals", "create", "triage", bundle, "--as", by)["id"])

    def applied(self, bundle: str, *options: str) -> None:
        """Put a bundle forward, approve it as somebody else, and apply it."""
        proposal = self.proposed(bundle)
        self.run("proposals", "approve", proposal, "--as", "ben")
        self.run("proposals", "apply", proposal, *options)


def labelled_csv(path: Path, rows: int = 120) -> Path:
    """A table in which many links mean spam, mostly."""
    chance = random.Random(7)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "links", "caps", "label"])
        for i in range(rows):
            spam = chance.random() < 0.5
            links = chance.randint(3, 9) if spam != (chance.random() < 0.1) else chance.randint(0, 4)
            writer.writerow([f"m{i}", links, round(chance.random(), 3), "spam" if spam else "ham"])
    return path


def rules_bundle(label_when_many: str = "spam", at_least: int = 2) -> str:
    """A hand-written bundle: many links decide."""
    other = "ham" if label_when_many == "spam" else "spam"
    many = {"feature": "links", "op": ">=", "value": at_least}
    document = {
        "schema": "trimtab.bundle/1",
        "agent": "triage",
        "labels": ["ham", "spam"],
        "features": [
            {"name": "links", "path": "links", "kind": "count"},
            {"name": "caps", "path": "caps", "kind": "number", "minimum": 0, "maximum": 1},
        ],
        "policy": {
            "kind": "rules",
            "rules": [{"when": [many], "label": label_when_many, "confidence": 0.8}],
            "default": {"label": other, "confidence": 0.7},
        },
        "escalate_below": 0.6,
    }
    return json.dumps(document)
