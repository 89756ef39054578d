"""Charts as inline SVG: no script, colours by CSS class, a tooltip on every mark, everything escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

LEFT, RIGHT, TOP, BOTTOM = 46, 14, 16, 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A scale with its ticks: (value, label)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    name: str = ""

    def place(self, value: float) -> float:
        """Where a value lies: 0 at `low`, 1 at `high`; outside it is cut."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def axis(values: Sequence[float], *, name: str = "", percent: bool = False, most: int = 5) -> Axis:
    """A scale around the values with round ticks; percent shows shares as 85 %."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    step = _round_step((high - low) / most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [k * step for k in range(first, last + 1)]
    return Axis(low=ticks[0], high=ticks[-1], ticks=tuple((t, tick_text(t, step, percent)) for t in ticks), name=name)


def _round_step(raw: float) -> float:
    base = 10.0 ** math.floor(math.log10(raw))
    return next(m * base for m in (1.0, 2.0, 5.0, 10.0) if raw <= m * base * (1 + 1e-9))


def tick_text(value: float, step: float, percent: bool) -> str:
    """A tick's label with as many digits as its step needs."""
    shown, size = (100 * value, 100 * step) if percent else (value, step)
    digits = max(0, -math.floor(math.log10(size) + 1e-9))
    return f"{shown + 0.0:,.{digits}f}".replace("-", "−") + (" %" if percent else "")


@dataclass(slots=True)
class Chart:
    """A plot area between two axes; what is drawn later lies above."""

    title: str
    width: int
    height: int
    x: Axis
    y: Axis
    left: int = LEFT
    bottom: int = BOTTOM
    top: int = TOP
    right: int = RIGHT
    _parts: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        return self.px(x), self.py(y)

    def px(self, x: float) -> float:
        return self.left + self.x.place(x) * (self.width - self.left - self.right)

    def py(self, y: float) -> float:
        return self.height - self.bottom - self.y.place(y) * (self.height - self.top - self.bottom)

    def line(self, points: Sequence[tuple[float, float]], css: str, *, step: bool = False, tip: str = "") -> None:
        """A line through the points; with `step` each value lasts until the next point."""
        if not points:
            return
        path = f"M{_n(self.px(points[0][0]))},{_n(self.py(points[0][1]))}"
        for x, y in points[1:]:
            path += f"H{_n(self.px(x))}V{_n(self.py(y))}" if step else f"L{_n(self.px(x))},{_n(self.py(y))}"
        self._parts.append(f'<path class="line {escape(css)}" d="{path}">{_tip(tip)}</path>')

    def band(self, points: Sequence[tuple[float, float, float]], css: str) -> None:
        """The area between low and high: (x, low, high)."""
        if not points:
            return
        upper = "L".join(f"{_n(self.px(x))},{_n(self.py(high))}" for x, _, high in points)
        lower = "L".join(f"{_n(self.px(x))},{_n(self.py(low))}" for x, low, _ in reversed(points))
        self._parts.append(f'<path class="band {escape(css)}" d="M{upper}L{lower}Z"/>')

    def dot(self, x: float, y: float, css: str, *, tip: str = "", radius: float = 3.0) -> None:
        cx, cy = self.at(x, y)
        self._parts.append(
            f'<circle class="dot {escape(css)}" cx="{_n(cx)}" cy="{_n(cy)}" r="{_n(radius)}">{_tip(tip)}</circle>'
        )

    def bar(self, x: float, width: float, low: float, high: float, css: str, *, tip: str = "") -> None:
        """A bar around `x`, `width` wide in the units of the axis, from `low` to `high`."""
        left, right, top, bottom = self.px(x - width / 2), self.px(x + width / 2), self.py(high), self.py(low)
        self._parts.append(
            f'<rect class="bar {escape(css)}" x="{_n(left)}" y="{_n(top)}" width="{_n(right - left)}" '
            f'height="{_n(max(0.0, bottom - top))}">{_tip(tip)}</rect>'
        )

    def cell(self, x: float, y: float, width: float, height: float, shade: float, *, tip: str = "") -> None:
        """A cell of a heat map with its centre at (x, y); `shade` in [0, 1]."""
        left, right = self.px(x - width / 2), self.px(x + width / 2)
        top, bottom = self.py(y + height / 2), self.py(y - height / 2)
        self._parts.append(
            f'<rect class="cell" style="--shade:{100 * min(1.0, max(0.0, shade)):.0f}%" x="{_n(left)}" y="{_n(top)}" '
            f'width="{_n(max(0.0, right - left - 1))}" height="{_n(max(0.0, bottom - top - 2))}">{_tip(tip)}</rect>'
        )

    def whisker(self, y: float, low: float, value: float, high: float, css: str, *, tip: str = "") -> None:
        """A value with its interval, lying."""
        height = self.py(y)
        self._parts.append(
            f'<g class="whisker {escape(css)}">{_tip(tip)}<line x1="{_n(self.px(low))}" x2="{_n(self.px(high))}" '
            f'y1="{_n(height)}" y2="{_n(height)}"/><circle cx="{_n(self.px(value))}" cy="{_n(height)}" r="5"/></g>'
        )

    def mark_x(self, x: float, text: str, css: str, *, row: int = 0) -> None:
        """A vertical line with a short text at its head; `row` moves the text down, so that neighbours stay apart."""
        place, flip = self.px(x), self.x.place(x) > 0.75
        self._parts.append(
            f'<line class="mark {escape(css)}" x1="{_n(place)}" x2="{_n(place)}" y1="{self.top}" '
            f'y2="{self.height - self.bottom}"/>'
        )
        self.text(place + (-4 if flip else 4), self.top + 10 + 14 * row, text, css, anchor="end" if flip else "start")

    def mark_y(self, y: float, css: str, text: str = "") -> None:
        """A horizontal line with a text above its end."""
        height = self.py(y)
        self._parts.append(
            f'<line class="mark {escape(css)}" x1="{self.left}" x2="{self.width - self.right}" y1="{_n(height)}" '
            f'y2="{_n(height)}"/>'
        )
        if text:
            self.text(self.width - self.right, height - 4, text, css, anchor="end")

    def text(self, px: float, py: float, text: str, css: str = "", *, anchor: str = "start") -> None:
        """A text at a pixel."""
        self._parts.append(
            f'<text class="{escape(css)}" x="{_n(px)}" y="{_n(py)}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def render(self) -> str:
        """The whole as an <svg> element."""
        frame = []
        for value, label in self.y.ticks:
            y = self.py(value)
            frame.append(
                f'<line class="grid" x1="{self.left}" x2="{self.width - self.right}" y1="{_n(y)}" y2="{_n(y)}"/>'
                f'<text class="tick" x="{self.left - 6}" y="{_n(y + 4)}" text-anchor="end">{escape(label)}</text>'
            )
        for value, label in self.x.ticks:
            frame.append(
                f'<text class="tick" x="{_n(self.px(value))}" y="{self.height - self.bottom + 15}" '
                f'text-anchor="middle">{escape(label)}</text>'
            )
        if self.x.name:
            frame.append(
                f'<text class="tick name" x="{self.width - self.right}" y="{self.height - 2}" '
                f'text-anchor="end">{escape(self.x.name)}</text>'
            )
        if self.y.name:
            frame.append(f'<text class="tick name" x="0" y="{self.top - 5}">{escape(self.y.name)}</text>')
        return (
            f'<svg role="img" viewBox="0 0 {self.width} {self.height}" style="max-width:{self.width}px" '
            f'aria-label="{escape(self.title)}">{"".join(frame)}{"".join(self._parts)}</svg>'
        )


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""
