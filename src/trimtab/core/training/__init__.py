"""From labelled examples to a candidate bundle with an honest held-out report."""

from __future__ import annotations

from trimtab.core.training.examples import Dataset, Example
from trimtab.core.training.metrics import ClassFigures, Comparison, Figures
from trimtab.core.training.report import TrainingReport
from trimtab.core.training.splits import Split, SplitKind
from trimtab.core.training.train import Method, TrainingResult, train, train_dataset

__all__ = [
    "ClassFigures",
    "Comparison",
    "Dataset",
    "Example",
    "Figures",
    "Method",
    "Split",
    "SplitKind",
    "TrainingReport",
    "TrainingResult",
    "train",
    "train_dataset",
]
