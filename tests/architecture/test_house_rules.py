from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "trimtab"
LOCKS = sorted(ROOT.glob("constraints-*.lock"))
MOST_LINES = 450

# What is somebody's own machine: written in pieces, so that this file does not find itself.
MACHINE_PATH = re.compile(r"(?<![\w.$/}-])/(?:" + "|".join(["work", "root", "home/" + r"\w", "Users/" + r"\w"]) + r")/")
TEXT = {".py", ".toml", ".md", ".sh", ".html", ".css", ".js", ".mako", ".in", ".lock", ".json", ".yml", ""}


def _python() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def _text_files() -> Iterator[Path]:
    for folder in ("src", "tests", "bench", "scripts", "docs", ".ci"):
        for path in sorted((ROOT / folder).rglob("*")):
            ours = not any(part in ("__pycache__", "vectors") or part.startswith(".venv") for part in path.parts)
            if ours and path.is_file() and path.suffix in TEXT:
                yield path
    yield from sorted(
        path
        for path in ROOT.iterdir()
        if path.is_file() and path.suffix in TEXT and not path.name.startswith((".git", ".coverage"))
    )


def _where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def test_nothing_swallows_every_error() -> None:
    swallowed = [
        _where(path, node)
        for path in _python()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and all(isinstance(line, ast.Pass | ast.Continue | ast.Expr) and not _calls(line) for line in node.body)
    ]
    assert swallowed == []


def _calls(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Call) for part in ast.walk(node))


def test_a_file_is_short_enough_to_read_at_one_sitting() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in _python()}
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_only_the_clock_reads_the_wall_clock() -> None:
    reads = re.compile(r"\b(?:datetime\.(?:now|utcnow|today)|date\.today|time\.time(?:_ns)?)\(")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in _python()
        if path != SOURCE / "clock.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if reads.search(line)
    ]
    assert found == []


def test_the_core_draws_chance_only_from_a_generator_that_it_is_given() -> None:
    drawn = r"\b(?:np|numpy)\.random\.(?!Generator\b|SeedSequence\b|default_rng\(\w)"
    draws = re.compile(drawn + r"|^\s*(?:import|from) random\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((SOURCE / "core").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if draws.search(line)
    ]
    assert found == []


def test_no_file_names_a_path_of_somebody_s_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in _text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_file_names_no_host_and_pins_everything_by_hash(lock: Path) -> None:
    lines = lock.read_text(encoding="utf-8").splitlines()
    for line in lines:
        allowed = line.startswith("#") or re.fullmatch(
            r"[\w.-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line
        )
        assert allowed, line
        assert "://" not in line
    pins = [number for number, line in enumerate(lines) if re.match(r"\w", line)]
    assert pins
    assert all("--hash=" in lines[number + 1] for number in pins)


def test_the_two_lock_files_agree() -> None:
    assert len(LOCKS) == 2
    development, server = ({line for line in lock.read_text().splitlines() if re.match(r"\w", line)} for lock in LOCKS)
    assert server <= development


def test_the_lock_files_cover_what_the_project_asks_for() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = {
        "constraints-server.lock": [*project["dependencies"], *extras["server"]],
        "constraints-dev.lock": [*project["dependencies"], *extras["server"], *extras["dev"]],
    }
    for lock in LOCKS:
        pinned = {line.partition("==")[0] for line in lock.read_text().splitlines()}
        asked = {re.match(r"[\w.-]+", requirement).group().lower() for requirement in wanted[lock.name]}  # type: ignore[union-attr]
        assert asked - pinned == set(), "run: make lock"
