from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.pages import fences
from tests.cli.steps import SPEC, Cli, rules_bundle

from trimtab.core.canonical import sha256_of

PAGE = "how-an-auditor-checks-a-packet.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """An auditor's folder: the page's script, two packets of a rollout, and the published key."""

    folder: Path
    public_key: str

    def check(self, **replaced: str) -> subprocess.CompletedProcess[str]:
        """Run the page's own command."""
        (command,) = fences(PAGE, mark="run")
        names = {"python": sys.executable, "PUBLIC_KEY": self.public_key, **replaced}
        typed = [names.get(one, one) for one in shlex.split(command.text)]
        return subprocess.run(typed, cwd=self.folder, capture_output=True, text=True, check=False)

    def change(self, name: str, *, new_hash: bool = False, **values: Any) -> None:
        """Change a packet's body, and its hash with it, as somebody could who can write rows but has no key."""
        packet = json.loads((self.folder / name).read_text(encoding="utf-8"))
        packet["body"] |= values
        if new_hash:
            packet["sha256"] = sha256_of(packet["body"])
        (self.folder / name).write_text(json.dumps(packet), encoding="utf-8")


@pytest.fixture
def audit(sqlite_url: str, tmp_path: Path) -> Audit:
    cli = Cli(url=sqlite_url, folder=tmp_path)
    cli.run("agents", "add", cli.file("triage.toml", SPEC))
    for name, label, many in (("first", "spam", 2), ("second", "ham", 2)):
        bundle = cli.json("bundles", "upload", "triage", cli.file(f"{name}.json", rules_bundle(label, many)))
        cli.applied(bundle["sha256"])
    cli.run("rollouts", "rollback", "triage", "--reason", "seen enough, Grüße")
    for i, name in enumerate(cli.json("rollouts", "show", "triage")["packets"], start=1):
        cli.run("rollouts", "packet", name, "--out", tmp_path / f"packet-{i}.json")
    (script,) = fences(PAGE, mark="script")
    (tmp_path / "check_packets.py").write_text(script.text, encoding="utf-8")
    (key,) = cli.json("signing", "keys")["keys"]
    return Audit(folder=tmp_path, public_key=key["public_key"])


def test_the_page_s_script_proves_real_packets_without_trimtab(audit: Audit) -> None:
    (script,) = fences(PAGE, mark="script")
    assert "trimtab" not in script.text
    assert len(script.lines) <= 25
    done = audit.check()
    (shows,) = fences(PAGE, mark="shows")
    assert (done.returncode, done.stdout) == (0, shows.text), done.stderr


@pytest.mark.parametrize(
    ("values", "broken"),
    [
        ({"reason": "all was well"}, "hash, signature"),
        ({"plan": {"metrics": ["quality"]}}, "hash, plan, signature"),
        ({"previous": "0" * 64}, "hash, chain, signature"),
    ],
)
def test_the_page_s_script_names_what_was_changed(audit: Audit, values: dict[str, Any], broken: str) -> None:
    audit.change("packet-2.json", **values)
    done = audit.check()
    assert done.returncode == 1
    assert f"packet-2.json: packet 2, triage roll_back: BROKEN {broken}" in done.stdout


def test_who_can_write_rows_but_has_no_key_is_found_out(audit: Audit) -> None:
    audit.change("packet-1.json", new_hash=True, reason="all was well")
    said = audit.check().stdout
    assert "packet 1, triage start: BROKEN signature" in said
    assert "packet 2, triage roll_back: BROKEN chain" in said


def test_a_key_that_was_not_published_is_found_out(audit: Audit) -> None:
    done = audit.check(PUBLIC_KEY="11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    assert done.returncode == 1
    assert done.stdout.count("BROKEN key, signature") == 2
