"""From verdicts to a posterior over labels: several ways, one protocol, chosen by held-out human labels."""

from trimtab.core.judges.consensus.base import ConsensusMethod, FittedConsensus, LogLinear, VoteShare
from trimtab.core.judges.consensus.blend import Blend, BlendPart
from trimtab.core.judges.consensus.choice import (
    MIN_LABELS,
    ConsensusChoice,
    MethodScore,
    choose_consensus,
    hits,
    standard_methods,
)
from trimtab.core.judges.consensus.naive_bayes import AnchoredDawidSkene, ConfusionBayes, LogOdds
from trimtab.core.judges.consensus.stacking import Stacking
from trimtab.core.judges.consensus.votes import BestJudge, MajorityVote, OneJudge, WeightedVote, vote_by_weight

__all__ = [
    "MIN_LABELS",
    "AnchoredDawidSkene",
    "BestJudge",
    "Blend",
    "BlendPart",
    "ConfusionBayes",
    "ConsensusChoice",
    "ConsensusMethod",
    "FittedConsensus",
    "LogLinear",
    "LogOdds",
    "MajorityVote",
    "MethodScore",
    "OneJudge",
    "Stacking",
    "VoteShare",
    "WeightedVote",
    "choose_consensus",
    "hits",
    "standard_methods",
    "vote_by_weight",
]
