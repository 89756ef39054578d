"""Five judges of mail that are code: rules and models of different skill, one too sure of itself, one that flatters.

Each sees what the agent sees (the payload) and the label that was served; none sees the true label. Their skill is what
it is: the demo measures it, nobody set it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trimtab.demo.data_source import CodeJudge, version_of
from trimtab.demo.naive_bayes import WordModel, words

HAM, SPAM = "ham", "spam"
LABELS = (HAM, SPAM)

# Words that sell, with points; written down from general knowledge of junk mail, not fitted to these mails.
KEYWORDS: Mapping[str, int] = {
    r"\bfree\b": 1,
    r"\bmortgage\b": 2,
    r"\bviagra\b": 3,
    r"\bguaranteed?\b": 1,
    r"\bcredit\b": 1,
    r"\bloans?\b": 2,
    r"\bdebts?\b": 2,
    r"\binvestments?\b": 2,
    r"\binsurance\b": 2,
    r"\bopportunity\b": 2,
    r"\bincome\b": 2,
    r"\bearn(ing)?\b": 2,
    r"\bcash\b": 1,
    r"\bweight\b": 1,
    r"\badults?\b": 2,
    r"\bclick here\b": 2,
    r"\bact now\b": 2,
    r"\bno obligation\b": 3,
    r"\bsave (up to|\$|\d)": 2,
    r"\blow(est)? (rates?|prices?)\b": 2,
    r"\bremoved? from\b": 1,
    r"\bdear (sir|friend)\b": 3,
    r"\bmillion (us|u\.s\.)? ?dollars\b": 3,
    r"\$ ?\d[\d,]{3,}": 1,
    r"\$\$": 2,
    r"!{2,}": 2,
    r"^\s*adv\b": 3,
}
KEYWORD_BAR = 3

# (feature, at least, points): what forged or bulk mail tends to do to headers, and what replies do.
HEADER_POINTS: tuple[tuple[str, float, int], ...] = (
    ("in_reply_to", 1, -4),
    ("subj_re", 1, -2),
    ("has_list_header", 1, -2),
    ("precedence_bulk", 1, -1),
    ("missing_msgid", 1, 3),
    ("from_has_digits", 1, 2),
    ("subj_dollar", 1, 2),
    ("subj_excl", 1, 2),
    ("is_html", 1, 2),
)
# Points -> stated probability of spam.
HEADER_SCALE = ((-4, 0.02), (-2, 0.08), (0, 0.25), (1, 0.45), (2, 0.65), (4, 0.85), (99, 0.95))

FLATTERER_BAR = 0.98
FLATTERER_AGREES = 0.9


def _stated(p_spam: float) -> tuple[str, float]:
    """The likelier label and its probability; an even case is ham, because losing a real mail costs more."""
    return (SPAM, p_spam) if p_spam > 0.5 else (HAM, 1.0 - p_spam)


def _bag(payload: Mapping[str, Any]) -> frozenset[str]:
    return words(str(payload["subject"]), str(payload["snippet"]), payload["from_domain"])


@dataclass(frozen=True, slots=True)
class KeywordRules:
    """Adds the points of the selling words that subject and snippet contain."""

    name: str = "keyword_rules"
    _patterns: tuple[tuple[re.Pattern[str], int], ...] = field(
        default=tuple((re.compile(pattern), points) for pattern, points in KEYWORDS.items()), repr=False
    )

    @property
    def version(self) -> str:
        """Derived from the word list and the bar."""
        return version_of([dict(KEYWORDS), KEYWORD_BAR])

    def describe(self) -> str:
        """One sentence."""
        return (
            f"{len(KEYWORDS)} selling words and phrases in subject and snippet, {KEYWORD_BAR} points make spam; "
            "rarely wrong about spam, but misses every advertisement that uses other words."
        )

    def judge(self, payload: Mapping[str, Any], _served_label: str, /) -> tuple[str, float]:
        """Spam from the bar on; surer with more points."""
        text = f"{payload['subject']}\n{payload['snippet']}".lower()
        points = sum(worth for pattern, worth in self._patterns if pattern.search(text) is not None)
        if points >= KEYWORD_BAR:
            return SPAM, min(0.95, 0.7 + 0.07 * (points - KEYWORD_BAR))
        return HAM, 0.7 if points else 0.78


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """Adds points for what the headers show, and never reads the text."""

    name: str = "header_rules"

    @property
    def version(self) -> str:
        """Derived from the points and the scale."""
        return version_of([HEADER_POINTS, HEADER_SCALE])

    def describe(self) -> str:
        """One sentence."""
        return (
            f"{len(HEADER_POINTS)} header signs such as replies, lists, HTML and shouting subjects; "
            "good on conversations, blind to what a mail says."
        )

    def judge(self, payload: Mapping[str, Any], _served_label: str, /) -> tuple[str, float]:
        """The probability that the scale gives to the sum of the points."""
        points = sum(worth for name, least, worth in HEADER_POINTS if (payload.get(name) or 0) >= least)
        return _stated(next(p for top, p in HEADER_SCALE if points <= top))


@dataclass(frozen=True, slots=True)
class TextBayes:
    """Naive Bayes on the words of older mail, calibrated on mails that each fold did not see."""

    model: WordModel
    name: str = "text_bayes"

    @property
    def version(self) -> str:
        """Derived from the learned counts and the temperature."""
        return version_of(self.model.to_mapping())

    def describe(self) -> str:
        """One sentence."""
        return (
            f"Naive Bayes on {len(self.model.counts):,} words of subject, snippet and sender domain, learned from "
            f"{sum(self.model.items)} older mails, its confidence calibrated on mails that it had not seen."
        )

    def judge(self, payload: Mapping[str, Any], _served_label: str, /) -> tuple[str, float]:
        """The calibrated posterior's likelier label."""
        return _stated(self.model.posterior(_bag(payload))[SPAM])


@dataclass(frozen=True, slots=True)
class Overconfident:
    """One weak sign, stated as near certainty."""

    name: str = "overconfident"

    @property
    def version(self) -> str:
        """Derived from its one rule."""
        return version_of(["excl_per_k > 1 or w_click > 0", 0.97, 0.99])

    def describe(self) -> str:
        """One sentence."""
        return (
            "Calls every mail with exclamation marks or the word click spam and always claims to be 97 % sure or more."
        )

    def judge(self, payload: Mapping[str, Any], _served_label: str, /) -> tuple[str, float]:
        """Spam when the sign is there, ham when it is not."""
        return (SPAM, 0.99) if payload["excl_per_k"] > 1 or payload["w_click"] > 0 else (HAM, 0.97)


@dataclass(frozen=True, slots=True)
class Flatterer:
    """Repeats the served label unless its own naive Bayes is almost certain of the other one."""

    model: WordModel
    name: str = "flatterer"

    @property
    def version(self) -> str:
        """Derived from the learned counts and its bar."""
        return version_of([self.model.to_mapping(), FLATTERER_BAR, FLATTERER_AGREES])

    def describe(self) -> str:
        """One sentence."""
        return (
            "Agrees with whatever was served, whichever bundle served it, unless the words of the subject are at least "
            f"{FLATTERER_BAR:.0%} against it."
        )

    def judge(self, payload: Mapping[str, Any], served_label: str, /) -> tuple[str, float]:
        """The served label, or the other one on a strong signal."""
        posterior = self.model.posterior(words(str(payload["subject"]), "", None))
        other = max((label for label in posterior if label != served_label), key=lambda label: posterior[label])
        if posterior[other] >= FLATTERER_BAR:
            return other, posterior[other]
        return served_label, FLATTERER_AGREES


def mail_judges(payloads: Sequence[Mapping[str, Any]], truth: Sequence[str]) -> tuple[CodeJudge, ...]:
    """The five judges; those that learn do so from these older mails only."""
    subjects = [words(str(payload["subject"]), "", None) for payload in payloads]
    return (
        KeywordRules(),
        HeaderRules(),
        TextBayes(WordModel.learn_calibrated([_bag(payload) for payload in payloads], truth, LABELS)),
        Overconfident(),
        Flatterer(WordModel.learn_calibrated(subjects, truth, LABELS)),
    )
