"""Joining several consensus methods: temper each by held-out human labels, then pool what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its parts load when first used

from trimtab.core.judges.consensus.base import FittedConsensus
from trimtab.core.judges.verdicts import FloatArray, IntArray, VerdictTable

_FLOOR = 1e-6  # of a probability inside a logarithm
_TEMPERATURES = np.exp(np.linspace(np.log(0.5), np.log(20.0), 25))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendPart:
    """One method's share of a blend, and the temperature that its posterior is divided by."""

    share: float
    temperature: float
    fitted: FittedConsensus


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """P(c) = Σ_m share_m · P_m(c)^(1/T_m)/Z_m: a linear opinion pool of tempered posteriors."""

    name: str
    parts: tuple[BlendPart, ...]

    def posterior(self, table: VerdictTable) -> FloatArray:
        """P(label) per item, (n_items, k)."""
        total = np.zeros((table.n_items, table.n_labels))
        for part in self.parts:
            total += part.share * tempered(part.fitted.posterior(table), part.temperature)
        result: FloatArray = total / total.sum(axis=1, keepdims=True)
        return result


def tempered(posterior: FloatArray, temperature: float) -> FloatArray:
    """The posterior with its log-odds divided by `temperature`: above 1 it is less sure of itself."""
    result: FloatArray = scipy.special.softmax(np.log(np.maximum(posterior, _FLOOR)) / temperature, axis=1)
    return result


def best_temperature(posterior: FloatArray, answers: IntArray, weight: FloatArray) -> float:
    """The temperature with the lowest held-out log loss, with a weak prior at 1.

    Judges that copy each other make a posterior too sure; one number learned on human labels takes that back. Guo et
    al. 2017, arXiv 1706.04599. `posterior`: (n, k), `answers`: (n,) indices, `weight`: (n,) ≥ 0. No rows: 1.
    """
    logs = np.log(np.maximum(posterior, _FLOOR))
    rows = np.arange(len(answers))

    def loss(temperature: float) -> float:
        scaled = logs / temperature
        right = scaled[rows, answers]
        return float(weight @ (scipy.special.logsumexp(scaled, axis=1) - right)) + 0.5 * float(np.log(temperature)) ** 2

    return float(min(_TEMPERATURES, key=loss)) if len(answers) else 1.0


def pool_shares(probability: FloatArray, weight: FloatArray, *, prior: float = 0.3, rounds: int = 200) -> FloatArray:
    """Shares (c,) ≥ 0, Σ = 1, of a linear pool: the maximum a posteriori mixture by expectation–maximisation.

    `probability`: (c, n), what each method gave the human label while that label was held out; `weight`: (n,). The
    Dirichlet prior counts `prior` + 1 labels per method, so that a handful of labels cannot silence one. n = 0: equal
    shares. Deterministic.
    """
    methods = len(probability)
    shares = np.full(methods, 1.0 / methods)
    likelihood = np.maximum(probability, _FLOOR)
    for _ in range(rounds):
        joint = shares[:, None] * likelihood
        responsible = joint / joint.sum(axis=0)
        shares = responsible @ weight + prior
        shares /= shares.sum()
    return shares
