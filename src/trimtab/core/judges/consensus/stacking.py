"""Stacking: learn from human labels alone what each judge's verdict is worth beside all the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from trimtab.core.judges.consensus.base import LogLinear, base_rates, indicator, vote_shares
from trimtab.core.judges.verdicts import FloatArray, VerdictTable

_SHARE_SCALE = 4.0  # vote shares are in [0, 1]; one unit of their coefficient is this much log-odds


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacking:
    """Multinomial logistic regression on who said what and on the shares of votes, with an L2 penalty.

    logit_c = b_c + log base rate_c + s · share_c + Σ_j (w_j 1[j says c] + W[j, said, c]). The weight w_j is shared by
    all labels: a few human labels place it, W needs more; the common penalty λ/2 · (‖b‖² + s² + ‖w‖² + ‖W‖²) makes it
    so. Unlike naive Bayes it is discriminative: two judges that say the same share one weight. Wolpert 1992,
    10.1016/S0893-6080(05)80023-1.
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
        used = np.flatnonzero(np.asarray(said.sum(axis=0)).ravel() > 0)
        said = said[:, used]
        back = said.T.tocsr()
        judge_of, label_of = used // k, used % k
        truth = mass[rows]

        def unpack(theta: FloatArray) -> tuple[FloatArray, float, FloatArray, FloatArray]:
            return theta[:k], float(theta[k]), theta[k + 1 : k + 1 + j], theta[k + 1 + j :].reshape(len(used), k)

        def together(shared: FloatArray, own: FloatArray) -> FloatArray:
            columns = own.copy()
            columns[np.arange(len(used)), label_of] += shared[judge_of]
            return columns

        def loss(theta: FloatArray) -> tuple[float, FloatArray]:
            shift, share, shared, own = unpack(theta)
            logits = bias + shift + share * shares + said @ together(shared, own)
            total = special.logsumexp(logits, axis=1)
            value = float((total - (logits * truth).sum(axis=1)).sum()) + 0.5 * self.penalty * float(theta @ theta)
            residual = np.exp(logits - total[:, None]) - truth
            columns = np.asarray(back @ residual)
            by_judge = np.bincount(judge_of, columns[np.arange(len(used)), label_of], j)
            gradient = np.concatenate(
                [residual.sum(axis=0), [float((residual * shares).sum())], by_judge, columns.ravel()]
            )
            return value, gradient + self.penalty * theta

        start = np.zeros(k + 1 + j + len(used) * k)
        found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": self.max_rounds})
        shift, share, shared, own = unpack(np.asarray(found.x))
        score = np.zeros((j * k, k))
        score[used] = together(shared, own)
        return LogLinear(
            name=self.name,
            labels=table.labels,
            judges=table.judges,
            score=score.reshape(j, k, k),
            bias=bias + shift,
            share=share * _SHARE_SCALE,
        )
