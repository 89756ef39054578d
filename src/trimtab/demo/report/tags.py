"""Small pieces of HTML. Everything that goes in as text comes out escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from html import escape

WIDE, NARROW = 744, 340
_NUMBER_AND_SIGN = re.compile(r"(\d) %")  # they stay on one line


def text(value: object) -> str:
    """Text, escaped; what cannot be shown at all becomes a replacement character."""
    shown = "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in str(value))
    return _NUMBER_AND_SIGN.sub(r"\1&nbsp;%", escape(shown))


def figure(draw: Callable[[int], str], caption: str = "") -> str:
    """A chart in two widths, of which the window's size picks one."""
    shown = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return f'<figure><div class="wide">{draw(WIDE)}</div><div class="narrow">{draw(NARROW)}</div>{shown}</figure>'


def key(entries: Iterable[tuple[str, str]]) -> str:
    """What the colours mean: (class, words)."""
    return (
        '<ul class="key">' + "".join(f'<li><i class="{css}"></i>{text(words)}</li>' for css, words in entries) + "</ul>"
    )


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers_from: int = 1, prose: int | None = None
) -> str:
    """A table that scrolls by itself where it is too wide. `prose`: the column that may break its lines."""

    def css(place: int) -> str:
        return ' class="text"' if place == prose else ' class="n"' if place >= numbers_from else ""

    head = "".join(f"<th{css(place)}>{text(name)}</th>" for place, name in enumerate(columns))
    body = "".join(
        "<tr>" + "".join(f"<td{css(place)}>{text(cell)}</td>" for place, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def behind(summary: str, content: str) -> str:
    """Something to be opened."""
    return f"<details><summary>{text(summary)}</summary>{content}</details>"
