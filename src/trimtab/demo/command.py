"""`trimtab demo`: run it, show it, write its report. The command line's own part is `trimtab.cli.demo`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.demo.run import DATABASE, Listener, Options, run
from trimtab.errors import InvalidInputError, StorageError

if TYPE_CHECKING:
    from trimtab.demo.story import Story

EXIT_INTERRUPTED = 130
DEFAULT_REPORT = Path("trimtab-demo.html")


def run_demo(
    *,
    days: int = 30,
    seed: int = 0,
    data: Path | None = None,
    label: str = "label",
    skip_bad_rows: bool = False,
    keep: Path | None = None,
    html: Path = DEFAULT_REPORT,
    as_json: bool = False,
    each_step: bool = False,
) -> int:
    """Run the demo and show it; returns the exit code: 0, 1 when `verify` fails, 130 when it was interrupted.

    `keep`: the folder in which the database stays; a demo that was interrupted there goes on. Raises TrimtabError.
    """
    if data is not None and not data.is_file():
        raise InvalidInputError(f"{data}: there is no such file; name a CSV with --data FILE.csv")
    _check_writable(html)
    options = Options(days=days, seed=seed, data=data, label=label, skip_bad_rows=skip_bad_rows)
    began = time.monotonic()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal of few letters shows a question mark, it does not fail
    try:
        with _folder(keep) as folder, _listening(as_json=as_json, each_step=each_step) as listener:
            story = run(options, folder, listener, passing=keep is None)
    except KeyboardInterrupt:
        way_on = f"the same command continues where it stopped: {_again(options, keep)}" if keep else "nothing was kept"
        sys.stderr.write(f"\ninterrupted; {way_on}\n")
        return EXIT_INTERRUPTED
    seconds = time.monotonic() - began
    from trimtab.demo.report import write_report

    write_report(story, html)
    if as_json:
        document = story.to_mapping() | {"report": str(html), "seconds": round(seconds, 1)}
        sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
    else:
        from rich.console import Console

        from trimtab.demo.final import show

        console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=_width())
        show(story, console, seconds=seconds, html=html, next_commands=_next(story, options, keep))
    return 0 if story.verification.holds else 1


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="trimtab-demo-") as name:
            yield Path(name)
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{keep}: cannot be made ({error.strerror}); choose another folder with --keep") from None
    yield keep


@contextmanager
def _listening(*, as_json: bool, each_step: bool) -> Iterator[Listener]:
    from trimtab.demo.screen import LiveView, PlainLines

    stream = sys.stderr if as_json else sys.stdout  # JSON has stdout to itself
    if stream.isatty() and not each_step:
        from rich.console import Console

        with LiveView(Console(file=stream, highlight=False, markup=False, emoji=False)) as view:
            yield view
        return

    def write(line: str) -> None:
        stream.write(line + "\n")
        stream.flush()

    yield PlainLines(write, each_step=each_step)


def _width() -> int | None:
    """None: as wide as the terminal; a pipe or a file gets a page's width."""
    return None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 100


def _check_writable(html: Path) -> None:
    """Find out before a minute's work, not after it."""
    if html.is_dir() or not html.resolve().parent.is_dir():
        raise StorageError(f"{html}: the report cannot be written there; name a file with --html FILE.html")


def _again(options: Options, keep: Path | None) -> str:
    words = ["trimtab demo"]
    plain = Options()
    if options.days != plain.days:
        words.append(f"--days {options.days}")
    if options.seed != plain.seed:
        words.append(f"--seed {options.seed}")
    if options.data is not None:
        words.append(f"--data {options.data}")
        if options.label != plain.label:
            words.append(f"--label {options.label}")
        if options.skip_bad_rows:
            words.append("--skip-bad-rows")
    return " ".join([*words, f"--keep {keep}"] if keep else words)


def _next(story: Story, options: Options, keep: Path | None) -> list[tuple[str, str]]:
    if keep is None:
        return [
            (_again(options, Path("demo")), "the same, and its database stays"),
            ("trimtab demo --data FILE.csv --label COLUMN", "the same on your own table"),
        ]
    commands = [(f"export TRIMTAB_DATABASE_URL=sqlite:///{(keep / DATABASE).resolve()}", ""), ("trimtab status", "")]
    if story.rollouts:
        worst = next((one for one in story.rollouts if one.poisoned), story.rollouts[-1])
        commands.append((f"trimtab rollouts show {worst.rollout.id}", "its evidence"))
    commands.append((f"trimtab reviews sample --agent {story.agent}", "draw questions from the last day"))
    commands.append((f"trimtab reviews work --agent {story.agent}", "answer them"))
    commands.append(("trimtab verify", "prove that nobody changed history"))
    return commands
