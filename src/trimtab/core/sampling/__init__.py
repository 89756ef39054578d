"""Which decisions to ask people about, with known probability, and whether asking still pays."""

from trimtab.core.sampling.draw import AskedFor, Sample, SamplingPlan, draw_sample, spread_order
from trimtab.core.sampling.worth import (
    MIN_ANSWERED,
    LiftCurve,
    LiftPoint,
    StopAdvice,
    labels_worth_asking,
    lift_curve,
)

__all__ = [
    "MIN_ANSWERED",
    "AskedFor",
    "LiftCurve",
    "LiftPoint",
    "Sample",
    "SamplingPlan",
    "StopAdvice",
    "draw_sample",
    "labels_worth_asking",
    "lift_curve",
    "spread_order",
]
