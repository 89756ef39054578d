from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.steps import Cli


@pytest.fixture
def keys(sqlite_url: str, tmp_path: Path) -> Cli:
    return Cli(url=sqlite_url, folder=tmp_path)


def test_a_key_is_shown_once_and_listed_without_its_secret(keys: Cli) -> None:
    made = keys.json("keys", "create", "anna", "approver", "--expires-days", "7")
    assert made["key"].startswith(f"tt_{made['prefix']}_")
    assert (made["name"], made["role"], made["created_by"]) == ("anna", "approver", "ann")
    assert "sha256" not in made
    shown = keys.run("keys", "list", "--json").stdout + keys.run("keys", "list").stdout
    assert made["key"][12:] not in shown
    assert made["prefix"] in shown
    assert [(one["name"], one["state"]) for one in keys.json("keys", "list")["keys"]] == [("anna", "active")]


def test_a_key_that_is_copied_from_a_narrow_window_is_whole(keys: Cli) -> None:
    lines = keys.run("keys", "create", "anna", "viewer", COLUMNS="30").stdout.splitlines()
    assert [len(line) for line in lines if line.startswith("tt_")] == [55]


def test_a_key_is_revoked_by_its_prefix_once(keys: Cli) -> None:
    made = keys.json("keys", "create", "anna", "viewer")
    assert keys.json("keys", "revoke", made["prefix"])["revoked_at"] is not None
    assert "already" in keys.error("keys", "revoke", made["prefix"], code=3)["message"]
    assert keys.json("keys", "list")["keys"][0]["state"] == "revoked"
    assert "revoked" in keys.run("keys", "list").stdout


def test_no_keys_yet_says_how_to_make_one(keys: Cli) -> None:
    assert "trimtab keys create NAME ROLE" in keys.run("keys", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("anna", "queen"), 2, "there are viewer"),
        (("trimtab", "admin"), 2, "Trimtab's own"),
        (("anna", "viewer", "--expires-days", "0"), 2, "greater than or equal to 1"),
        (("anna", "viewer", "--expires-days", "3651"), 2, "less than or equal to 3650"),
        (("anna", "viewer", "--role", "operator"), 4, "may not configure"),
    ],
)
def test_a_key_that_must_not_be_is_not_made(keys: Cli, arguments: tuple[str, ...], code: int, said: str) -> None:
    assert said in keys.error("keys", "create", *arguments, code=code)["message"]
    assert keys.json("keys", "list")["keys"] == []
