"""Stacking: learn from human labels alone what each judge's verdict is worth beside all the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike

from trimtab.core.judges.consensus.base import (
    LogLinear,
    base_rates,
    confidence_columns,
    confidence_log_odds,
    indicator,
    vote_shares,
)
from trimtab.core.judges.verdicts import FloatArray, VerdictTable

_SHARE_SCALE = 4.0  # vote shares are in [0, 1]; one unit of their coefficient is this much log-odds


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacking:
    """Multinomial logistic regression on who said what and on the shares of votes, with an L2 penalty.

    logit_c = b_c + log base rate_c + s · share_c + Σ_j (1[j says c] (w_j + (u + u_j) z_j) + W[j, said, c]), z_j the
    standardised log-odds of j's stated confidence, 0 where it states none: a judge that is unsure counts less. w_j is
    shared by all labels: a few human labels place it, W needs more; the common penalty λ/2 · (‖b‖² + s² + ‖w‖² + ‖u‖² +
    ‖W‖²) makes it so. Unlike naive Bayes it is discriminative: two judges that say the same share one weight. Wolpert
    1992, 10.1016/S0893-6080(05)80023-1.
    """

    name: str = "stacking"
    penalty: float = 10.0
    max_rounds: int = 100

    def fit(self, table: VerdictTable, gold: ArrayLike) -> LogLinear:
        """Coefficients by L-BFGS from zero, so the result does not depend on chance. No human labels: base rates."""
        answers = table.checked_gold(gold)
        k, j = table.n_labels, len(table.judges)
        mass = indicator(answers, k)
        rows = np.flatnonzero(answers >= 0)
        bias = np.log(base_rates(mass))
        said = table.one_hot()[rows]
        shares = _SHARE_SCALE * vote_shares(table)[rows]
        tiled = np.tile(np.eye(k), (j, 1))
        used = np.flatnonzero(np.asarray(said.sum(axis=0)).ravel() > 0)
        said = said[:, used]
        back = said.T.tocsr()
        judge_of, label_of = used // k, used % k
        truth = mass[rows]
        centre, spread = _usual_confidence(table)
        sure = confidence_columns(table, table.judges, centre)[rows] / spread
        unsure = sure.T.tocsr()
        speaks = bool(sure.nnz)
        extra = j + 1 if speaks else 0

        def unpack(theta: FloatArray) -> tuple[FloatArray, float, FloatArray, FloatArray, FloatArray]:
            own = theta[k + 1 + j + extra :].reshape(len(used), k)
            slopes = theta[k + 1 + j : k + 1 + j + extra]
            return theta[:k], float(theta[k]), theta[k + 1 : k + 1 + j], own, slopes

        def together(shared: FloatArray, own: FloatArray) -> FloatArray:
            columns = own.copy()
            columns[np.arange(len(used)), label_of] += shared[judge_of]
            return columns

        def loss(theta: FloatArray) -> tuple[float, FloatArray]:
            shift, share, shared, own, slopes = unpack(theta)
            logits = bias + shift + share * shares + said @ together(shared, own)
            if speaks:
                logits = logits + sure @ (np.repeat(slopes[1:] + slopes[0], k)[:, None] * tiled)
            total = scipy.special.logsumexp(logits, axis=1)
            value = float((total - (logits * truth).sum(axis=1)).sum()) + 0.5 * self.penalty * float(theta @ theta)
            residual = np.exp(logits - total[:, None]) - truth
            columns = np.asarray(back @ residual)
            by_judge = np.bincount(judge_of, columns[np.arange(len(used)), label_of], j)
            parts = [residual.sum(axis=0), [float((residual * shares).sum())], by_judge]
            if speaks:
                by_slope = (np.asarray(unsure @ residual) * tiled).sum(axis=1).reshape(j, k).sum(axis=1)
                parts += [[float(by_slope.sum())], by_slope]
            gradient = np.concatenate([*parts, columns.ravel()])
            return value, gradient + self.penalty * theta

        start = np.zeros(k + 1 + j + extra + len(used) * k)

        found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": self.max_rounds})
        shift, share, shared, own, slopes = unpack(np.asarray(found.x))
        score = np.zeros((j * k, k))
        score[used] = together(shared, own)
        return LogLinear(
            name=self.name,
            labels=table.labels,
            judges=table.judges,
            score=score.reshape(j, k, k),
            bias=bias + shift,
            share=share * _SHARE_SCALE,
            slope=(slopes[1:] + slopes[0]) / spread if speaks else None,
            centre=centre if speaks else None,
        )


def _usual_confidence(table: VerdictTable) -> tuple[FloatArray, float]:
    """Each judge's mean log-odds of stated confidence, (J,), 0 where it states none; their spread."""
    stated = np.isfinite(table.confidence)
    judge, value = table.judge[stated], confidence_log_odds(table)[stated]
    count = np.bincount(judge, minlength=len(table.judges))
    centre = np.bincount(judge, value, len(table.judges)) / np.maximum(count, 1)
    spread = float(np.sqrt(np.mean((value - centre[judge]) ** 2))) if len(value) else 0.0
    return centre, spread if spread > 1e-9 else 1.0
