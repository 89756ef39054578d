"""Showing things to people: tables that fit, fields, bars; nothing from outside is ever obeyed by the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trimtab.cli.plain import clean

T = TypeVar("T")

PIPE_WIDTH = 120  # columns where nobody tells: a file, a pipe
LEAST_FLEXIBLE = 24  # a column of prose is readable down to this
_GAP = 2


class _Screen(Console):
    """A console whose reader may leave: the caller ends the process, quietly."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def screen(*, stderr: bool = False) -> Console:
    """A console on stdout or stderr as they are now."""
    stream = sys.stderr if stderr else sys.stdout
    known = stream.isatty() or bool(os.environ.get("COLUMNS"))
    return _Screen(file=stream, highlight=False, markup=False, emoji=False, width=None if known else PIPE_WIDTH)


class Output:
    """What a command shows when nobody asked for JSON."""

    def __init__(self, *, stderr: bool = False) -> None:
        self.console = screen(stderr=stderr)

    def line(self, text: object = "", style: str | None = None) -> None:
        """One line (or paragraph) of text."""
        self.console.print(Text(clean(text, lines=True), style=style or ""), soft_wrap=False)

    def heading(self, text: object) -> None:
        """A title, with a blank line above it."""
        self.console.print()
        self.line(text, "bold")

    def fields(self, pairs: Iterable[tuple[str, object]], *, indent: int = 0) -> None:
        """Names and values below each other."""
        shown = [(name, clean(value, lines=True)) for name, value in pairs]
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_column(style="dim", no_wrap=True, min_width=max((cell_len(name) for name, _ in shown), default=0))
        grid.add_column(overflow="fold")
        for name, value in shown:
            grid.add_row(Text(" " * indent + name), Text(value))
        self.console.print(grid)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "nothing yet") -> None:
        """A table; where the window is too narrow for it, each row as fields below each other."""
        shown = [[clean(cell) for cell in row] for row in rows]
        if not shown:
            self.line(empty, "dim")
            return
        widths = [max(cell_len(text) for text in [name, *cells]) for name, *cells in zip(columns, *shown, strict=True)]
        room = self.console.width - _GAP * len(columns) - 2
        # An id in two pieces cannot be copied: another column must give way.
        widest = max(range(len(columns)), key=lambda i: (columns[i] != "id", widths[i]))
        least = sum(widths) - widths[widest] + min(widths[widest], LEAST_FLEXIBLE)
        if least > room:
            self._records(columns, shown)
            return
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold", show_edge=False)
        for i, name in enumerate(columns):
            numeric = all(_is_figure(row[i]) for row in shown)
            table.add_column(Text(name), justify="right" if numeric else "left", no_wrap=i != widest, overflow="fold")
        for row in shown:
            table.add_row(*(Text(cell) for cell in row))
        self.console.print(table)

    def _records(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        for i, row in enumerate(rows):
            if i:
                self.console.print()
            self.fields(zip(columns, row, strict=True))

    def good(self, text: object) -> None:
        self.line(text, "green")

    def bad(self, text: object) -> None:
        self.line(text, "bold red")

    def hint(self, text: object) -> None:
        """What to type next."""
        self.line(text, "dim")


def _is_figure(cell: str) -> bool:
    return cell == "–" or cell.removesuffix(" %").replace(",", "").replace(".", "", 1).lstrip("+-").isdigit()


def progress(items: Iterable[T], description: str, *, total: int | None = None) -> Iterator[T]:
    """`items`, with a bar on stderr while they last, if a person watches."""
    console = screen(stderr=True)
    if not console.is_terminal:
        yield from items
        return
    from rich.progress import track

    yield from track(items, description=description, total=total, console=console, transient=True)


def work(description: str, does: Callable[[], T]) -> T:
    """The result of `does`, with a sign of life on stderr meanwhile, if a person watches."""
    console = screen(stderr=True)
    if not console.is_terminal:
        return does()
    with console.status(Text(description)):
        return does()


def complain(text: str, code: str | None = None) -> None:
    """One red line on stderr."""
    line = Text("error: ", style="bold red")
    line.append(clean(text), style="red")
    if code is not None:
        line.append(f" [{code}]", style="dim")
    screen(stderr=True).print(line, soft_wrap=True)


def warn(text: Any) -> None:
    """One yellow line on stderr."""
    screen(stderr=True).print(Text(clean(text), style="yellow"), soft_wrap=True)
