"""The demo's report: one HTML file that needs nothing else, neither network nor script."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from string import Template

from trimtab.demo.report.sections import body
from trimtab.demo.report.tags import text
from trimtab.demo.story import Story
from trimtab.errors import StorageError


def report(story: Story) -> str:
    """The report's HTML. Whatever comes from outside is escaped; the page asks for nothing over the network."""
    here = files("trimtab.demo.report")
    page = Template((here / "page.html").read_text(encoding="utf-8"))
    style = (here / "style.css").read_text(encoding="utf-8")
    return page.substitute(title=text(f"Trimtab demo: {story.data_name}"), style=style, body=body(story))


def write_report(story: Story, path: Path) -> None:
    """Write the report, whole or not at all. Raises StorageError."""
    draft = path.with_name(path.name + ".new")
    try:
        draft.write_text(report(story), encoding="utf-8", errors="replace")
        os.replace(draft, path)
    except OSError as error:
        raise StorageError(f"{path}: the report cannot be written ({error.strerror}); choose another --html") from None


__all__ = ["report", "write_report"]
