"""Prediction-powered means: many judged values, few true ones (PPI++), kept as sums."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from trimtab.core.evidence import wire
from trimtab.errors import InvalidStatisticError

LEAST_LABELS = 30  # below it the normal approximation of the weighted mean is not trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedMean:
    """A mean estimated from judged and true values together."""

    estimate: float
    variance: float
    tuning: float  # λ in [0, 1]: how much the judges were allowed to help; 0 is the labels alone
    labels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionSums:
    """Sums over judged items (predictions f) and over the labelled ones among them (true y, weight w = 1/π).

    Sums are floats: merging is associative up to rounding, about 1e-15 of their size.
    """

    judged: int = 0  # items with a prediction, labelled or not
    f: float = 0.0
    ff: float = 0.0
    labels: int = 0  # items with a prediction and a true value
    w: float = 0.0
    wy: float = 0.0
    wf: float = 0.0
    ww: float = 0.0
    wwy: float = 0.0
    wwf: float = 0.0
    wwyy: float = 0.0
    wwyf: float = 0.0
    wwff: float = 0.0

    def add_prediction(self, predicted: float) -> PredictionSums:
        """Count the prediction of one more item. Every labelled item is also counted here, once."""
        p = wire.number(predicted, "prediction")
        return self._plus(judged=1, f=p, ff=p * p)

    def add_label(self, truth: float, predicted: float, *, inclusion: float) -> PredictionSums:
        """Count the true value of an item with this prediction, drawn with probability `inclusion` in (0, 1]."""
        y, f = wire.number(truth, "label"), wire.number(predicted, "prediction")
        w = 1.0 / wire.inclusion(inclusion)
        v = w * w
        return self._plus(
            labels=1,
            w=w,
            wy=w * y,
            wf=w * f,
            ww=v,
            wwy=v * y,
            wwf=v * f,
            wwyy=v * y * y,
            wwyf=v * y * f,
            wwff=v * f * f,
        )

    def merge(self, other: PredictionSums) -> PredictionSums:
        """Both sums as one."""
        return PredictionSums(**{name: getattr(self, name) + getattr(other, name) for name in _NAMES})

    def mean(self, tuning: float | None = None) -> PredictedMean | None:
        """PPI++ estimate θ = λ·mean(f) + Σw(y − λf)/Σw of the mean of y over the judged items, with its variance.

        The rectifier is self-normalised (Hájek), so labels still on their way do not pull it towards 0. λ is the
        variance-minimising value clipped to [0, 1] unless `tuning` fixes it: 0 is the labels alone, 1 plain PPI.
        Guarantee: asymptotically normal; with λ tuned never wider than the labels alone, up to the noise of λ.
        None with fewer than 30 labels, or where the labels leave no variance to estimate from.
        Raises InvalidStatisticError for a tuning outside [0, 1].
        Source: Angelopoulos, Duchi & Zrnic (2023), doi:10.48550/arXiv.2311.01453; inclusion weights as in
        Zrnic & Candès (2024), doi:10.48550/arXiv.2403.03208.

        >>> sums = PredictionSums()
        >>> for i in range(200):
        ...     sums = sums.add_prediction(float(i % 2))
        ...     if i < 50:
        ...         sums = sums.add_label(float(i % 2) if i % 10 else 1.0, float(i % 2), inclusion=0.25)
        >>> both, alone = sums.mean(), sums.mean(tuning=0.0)
        >>> both.variance < alone.variance
        True
        """
        if tuning is not None and not 0.0 <= tuning <= 1.0:
            raise InvalidStatisticError(f"tuning: must lie in [0, 1], got {tuning!r:.60}")
        if self.labels < LEAST_LABELS or self.judged < self.labels:
            return None
        y, f = self.wy / self.w, self.wf / self.w
        # Linearised variances of the weighted means, Σw²(a − ā)(b − b̄)/(Σw)², with the small-sample factor n/(n − 1).
        scale = self.labels / (self.labels - 1) / (self.w * self.w)
        var_y = scale * max(0.0, self.wwyy - 2 * y * self.wwy + y * y * self.ww)
        var_f = scale * max(0.0, self.wwff - 2 * f * self.wwf + f * f * self.ww)
        covariance = scale * (self.wwyf - y * self.wwf - f * self.wwy + y * f * self.ww)
        pool_mean = self.f / self.judged
        pool_var = max(0.0, self.ff / self.judged - pool_mean * pool_mean) / self.judged
        if tuning is None:
            spread = var_f + pool_var
            tuning = min(1.0, max(0.0, covariance / spread)) if spread > 0 else 0.0
        variance = var_y - 2 * tuning * covariance + tuning * tuning * (var_f + pool_var)
        if not variance > 1e-15:
            return None
        return PredictedMean(
            estimate=tuning * pool_mean + y - tuning * f, variance=variance, tuning=tuning, labels=self.labels
        )

    def to_mapping(self) -> dict[str, Any]:
        """The sums as plain JSON data."""
        return {"v": 1, **{name: getattr(self, name) for name in _NAMES}}

    @classmethod
    def from_mapping(cls, given: Any) -> PredictionSums:
        """Sums from stored JSON. Raises InvalidStatisticError naming what is wrong."""
        known = wire.table(given, "predictions", frozenset(_NAMES))
        values: dict[str, Any] = {
            name: wire.count(known[name], name) if name in _COUNTS else wire.number(known[name], name)
            for name in _NAMES
        }
        squares = [values[name] for name in ("ff", "w", "ww", "wwyy", "wwff")]
        if values["labels"] > values["judged"] or min(squares) < 0 or math.isnan(sum(squares)):
            raise InvalidStatisticError("predictions: more labels than judged items, or a negative sum of squares")
        return cls(**values)

    def _plus(self, **more: float) -> PredictionSums:
        return PredictionSums(**{name: getattr(self, name) + more.get(name, 0) for name in _NAMES})


_NAMES = tuple(field.name for field in fields(PredictionSums))
_COUNTS = frozenset({"judged", "labels"})
