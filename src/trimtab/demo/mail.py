"""The packaged mail: 6,046 real mails of 2001-2003 with their label, features, subject and a snippet of the text.

The stream is not a calendar: the corpus was collected in lumps (months of spam only, then months of lists), and its
dates are partly forged. Days are dealt from a shuffle, so what the demo shows is learning, not the corpus' history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import as_file, files
from typing import Any

import pyarrow.parquet as pq

from trimtab.demo.data_source import CodeJudge, Split, StartingRules, deal_days, split_by_key
from trimtab.demo.judges import HAM, LABELS, SPAM, mail_judges

HISTORY = 400
KEPT_ASIDE = 1000
_NOT_FEATURES = ("item_id", "thread", "from_domain", "subject", "snippet", "label")

STARTING_RULES = StartingRules(
    description="Five rules that the mail team wrote by hand, and ham for everything else.",
    rules=(
        {"when": [{"feature": "subj_re", "op": "==", "value": 1}], "label": HAM, "confidence": 0.9},
        {"when": [{"feature": "n_ip_urls", "op": ">", "value": 0}], "label": SPAM, "confidence": 0.9},
        {"when": [{"feature": "subj_dollar", "op": "==", "value": 1}], "label": SPAM, "confidence": 0.8},
        {"when": [{"feature": "caps_ratio", "op": ">", "value": 0.12}], "label": SPAM, "confidence": 0.7},
        {
            "when": [
                {"feature": "w_free", "op": ">", "value": 0},
                {"feature": "excl_per_k", "op": ">", "value": 1.0},
            ],
            "label": SPAM,
            "confidence": 0.7,
        },
    ),
    default={"label": HAM, "confidence": 0.75},
)


@dataclass(frozen=True, kw_only=True)
class MailData:
    """The mails as columns, split by a seed; satisfies `DemoData`."""

    columns: dict[str, list[Any]] = field(repr=False)
    seed: int
    split: Split = field(repr=False)

    @property
    def name(self) -> str:
        """What the data set is called on screens."""
        return "SpamAssassin mail"

    @property
    def labels(self) -> tuple[str, ...]:
        """Ham and spam."""
        return LABELS

    @property
    def items(self) -> Sequence[str]:
        """The id of every mail."""
        return self.columns["item_id"]

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The 36 derived features."""
        return tuple(name for name in self.columns if name not in _NOT_FEATURES)

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the mails come from and what their order means."""
        return (
            f"{len(self.items):,} real mails of the public SpamAssassin corpus, collected 2001-2003.",
            "Days are dealt from a shuffle: the corpus has no usable calendar.",
        )

    def payload(self, i: int) -> dict[str, Any]:
        """The features at the top level, beside subject, snippet and the sender's domain (None when unreadable)."""
        columns = self.columns
        payload = {name: columns[name][i] for name in self.features}
        for name in ("subject", "snippet", "from_domain"):
            payload[name] = columns[name][i]
        return payload

    def label(self, i: int) -> str:
        """Ham or spam, as the corpus has it."""
        return str(self.columns["label"][i])

    def key(self, i: int) -> str:
        """The conversation of mail `i`: replies, exact duplicates and copies of one text share it."""
        return f"thread-{self.columns['thread'][i]}"

    def text(self, i: int) -> str:
        """Sender, subject and snippet."""
        columns = self.columns
        sender = columns["from_domain"][i] or "(unreadable sender)"
        subject = columns["subject"][i] or "(no subject)"
        return f"From: {sender}\nSubject: {subject}\n\n{columns['snippet'][i] or '(no readable text)'}"

    def judges(self) -> tuple[CodeJudge, ...]:
        """The five judges of mail, those that learn having learned from the history only."""
        return self._judges

    @cached_property
    def _judges(self) -> tuple[CodeJudge, ...]:
        history = self.split.history
        return mail_judges([self.payload(i) for i in history], [self.label(i) for i in history])

    def starting_rules(self) -> StartingRules:
        """Five hand-written rules over features that a reader understands."""
        return STARTING_RULES

    def days(self, count: int, first_weekday: int = 0) -> tuple[tuple[int, ...], ...]:
        """The stream dealt to days."""
        return deal_days(self.split.stream, count, seed=self.seed, first_weekday=first_weekday)


def load_mail(seed: int = 0) -> MailData:
    """Read the packaged mails and split them: about 1,000 kept aside, 400 of history, the rest in the stream."""
    with as_file(files("trimtab.demo") / "data" / "mail.parquet") as path:
        # Arrow's own threads and buffers gain nothing on a file of this size.
        columns = pq.read_table(path, use_threads=False).to_pydict()
    keys = [f"thread-{thread}" for thread in columns["thread"]]
    split = split_by_key(columns["item_id"], keys, columns["label"], seed=seed, history=HISTORY, kept_aside=KEPT_ASIDE)
    return MailData(columns=columns, seed=seed, split=split)
