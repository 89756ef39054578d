"""A small table to run the demo on, and a demo in a process of its own that can be killed."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

from trimtab.demo.happenings import Happening
from trimtab.demo.run import Options, Scene, run
from trimtab.demo.simulation import Step

SUMMARY = "summary.json"


def write_table(path: Path, *, rows: int = 420, seed: int = 5, label: str = "verdict", yes: str = "buy") -> Path:
    """A CSV whose label follows three columns with some noise: one rule gets part of it, a trained policy more."""
    chance = random.Random(seed)
    lines = [f"size,age,colour,weight,{label}"]
    for _ in range(rows):
        size, age = chance.gauss(0, 1), chance.gauss(0, 1)
        colour = chance.choice(("red", "green", "blue"))
        score = 1.6 * size - 1.3 * age + (1.0 if colour == "red" else -0.5)
        truth = chance.random() < 1 / (1 + math.exp(-2 * score))
        lines.append(f"{size:.3f},{age:.3f},{colour},{chance.random():.3f},{yes if truth else 'leave'}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Silent:
    """Listens and says nothing."""

    def __init__(self) -> None:
        self.scene: Scene | None = None
        self.lines: list[Happening] = []

    def began(self, scene: Scene) -> None:
        self.scene = scene

    def stepped(self, step: Step, number: int, happened: list[Happening]) -> None:
        del step, number
        self.lines += happened

    def counting(self) -> None:
        pass


def run_and_summarise(folder: Path, data: Path, days: int) -> None:
    """Run the demo, or go on with it, and leave its summary in the folder."""
    story = run(Options(days=days, data=data, label="verdict"), folder, Silent(), passing=True)
    draft = folder / "summary.new"
    draft.write_text(json.dumps(story.to_mapping()))
    draft.replace(folder / SUMMARY)
