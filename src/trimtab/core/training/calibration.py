"""Temperature: one number that makes stated probabilities match frequencies without changing a single choice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trimtab.core.batch import Floats
from trimtab.core.training.metrics import SMALLEST_PROBABILITY, log_loss

LOWEST, HIGHEST = 0.25, 8.0


def heated(posterior: Floats, temperature: float) -> Floats:
    """p^(1/T), normalised per row; the order within a row stays. For a softmax: its scores divided by T."""
    logs = np.log(np.maximum(posterior, SMALLEST_PROBABILITY)) / temperature
    logs -= logs.max(axis=1, keepdims=True)
    np.exp(logs, out=logs)
    return np.asarray(logs / logs.sum(axis=1, keepdims=True))


def fit_temperature(posterior: Floats, label: npt.NDArray[np.intp], weight: Floats) -> float:
    """The T in [1/4, 8] with the least weighted log loss on out-of-fold posteriors (n, k); 1.0 unless it helps.

    T > 1 tempers an overconfident policy. Choices never change. No rows: 1.0.
    Source: Guo et al. 2017, arXiv 1706.04599, section 4.2.
    """
    if len(label) == 0:
        return 1.0

    def loss(log_temperature: float) -> float:
        return log_loss(heated(posterior, float(np.exp(log_temperature))), label, weight)

    from scipy.optimize import minimize_scalar  # loaded when first used: it takes most of a second

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-4})
    # Three digits: finer ones only carry the noise of the last bits into the bundle's hash.
    temperature = float(f"{np.exp(found.x):.3g}")
    return temperature if loss(float(np.log(temperature))) < loss(0.0) else 1.0
