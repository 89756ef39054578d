"""Writes tests/vectors/policy.json: bundles, payloads and what must come out, for implementations in any language.

Run `python scripts/make_vectors.py` after a change of the evaluation rules; `--check` only compares.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from trimtab.core.agents import AgentSpec
from trimtab.core.assignment import bucket
from trimtab.core.bundles import Bundle
from trimtab.core.features import Value
from trimtab.core.policy import compile_policy

PATH = Path(__file__).parent.parent / "tests" / "vectors" / "policy.json"
AT = "2026-03-01T12:00:00+00:00"

TWO = AgentSpec.from_mapping(
    {
        "agent": "mail",
        "labels": ["ham", "spam"],
        "escalate_below": 0.7,
        "features": [
            {"name": "links", "path": "body.links", "kind": "count"},
            {"name": "html", "path": "body.html", "kind": "flag", "missing": 0},
            {"name": "caps", "kind": "number", "minimum": 0, "maximum": 1},
            {"name": "origin", "kind": "category", "categories": ["inside", "partner", "outside"]},
            {"name": "subject", "kind": "text-length"},
            {"name": "age", "path": "sent_at", "kind": "elapsed", "minimum": 0},
        ],
    }
)
THREE = AgentSpec.from_mapping({**TWO.to_mapping(), "labels": ["inbox", "archive", "quarantine"]})
FILLS: dict[str, Value] = {"links": 2.0, "html": 0.0, "caps": 0.1, "origin": "outside", "subject": 20.0, "age": 60.0}

LOGISTIC = {
    "kind": "logistic",
    "intercept": [-1.5],
    "coefficients": {
        "links": [0.25],
        "html": [1.25],
        "caps": [3.5],
        "caps__missing": [0.75],
        "origin=inside": [-2.0],
        "origin=partner": [-0.5],
        "subject": [-0.01],
        "age": [0.00001],
    },
    "clamps": {"links": [None, 12.0], "age": [0.0, 86400.0]},
}
SOFTMAX = {
    "kind": "logistic",
    "intercept": [0.5, 0.0, -1.0],
    "coefficients": {
        "links": [-0.2, 0.0, 0.3],
        "origin=inside": [1.0, 0.25, -2.0],
        "origin__missing": [0.0, 0.5, 0.5],
        "caps": [-1.0, 0.0, 2.0],
    },
}
TREE = {
    "kind": "tree",
    "nodes": [
        {"feature": "links", "threshold": 3.5, "left": 1, "right": 2, "share_left": 0.75},
        {"posterior": [0.9, 0.1], "n": 120.0},
        {"feature": "origin", "categories": ["inside", "partner"], "left": 3, "right": 4, "share_left": 0.4},
        {"posterior": [0.7, 0.3], "n": 30.0},
        {"posterior": [0.2, 0.8], "n": 40.0},
    ],
}
RULES = {
    "kind": "rules",
    "rules": [
        {"when": [{"feature": "origin", "op": "==", "value": "inside"}], "label": "ham", "confidence": 0.95},
        {
            "when": [{"feature": "links", "op": ">", "value": 5}, {"feature": "html", "op": "==", "value": True}],
            "label": "spam",
            "confidence": 0.9,
        },
        {"when": [{"feature": "caps", "op": "missing", "value": True}], "label": "spam", "confidence": 0.55},
    ],
    "default": {"label": "ham", "confidence": 0.65},
}
ENSEMBLE = {
    "kind": "ensemble",
    "members": [
        {"weight": 0.5, "policy": LOGISTIC},
        {"weight": 0.25, "policy": TREE},
        {"weight": 0.25, "policy": RULES},
    ],
}
PAYLOADS: list[dict[str, Any]] = [
    {"body": {"links": 1, "html": False}, "caps": 0.05, "origin": "inside", "subject": "Lunch?", "sent_at": AT},
    {
        "body": {"links": 9, "html": True},
        "caps": 0.6,
        "origin": "outside",
        "subject": "WIN A PRIZE NOW",
        "sent_at": "2026-03-01T13:00:00+02:00",
    },
    {
        "body": {"links": 5000, "html": 1},
        "caps": 7,
        "origin": "partner",
        "subject": "",
        "sent_at": "2025-03-01T12:00:00Z",
    },
    {"body": {"links": ["a", "b", "c", "d"]}, "origin": "elsewhere", "subject": "é" * 30},
    {"body": {"links": 3.5}, "caps": "high", "sent_at": "yesterday"},
    {"body": {"links": 3, "html": None}, "caps": -1.0, "origin": None},
    {},
]


def vectors() -> dict[str, Any]:
    """The whole document."""
    at = datetime.fromisoformat(AT)
    cases = []
    for name, spec, policy in (
        ("logistic", TWO, LOGISTIC),
        ("softmax", THREE, SOFTMAX),
        ("tree", TWO, TREE),
        ("rules", TWO, RULES),
        ("ensemble", TWO, ENSEMBLE),
    ):
        bundle = Bundle.build(spec, policy, fills=FILLS)
        ready = compile_policy(bundle)
        decisions = []
        for payload in PAYLOADS:
            values = ready.extract(payload, at).values
            choice = ready.choose(values)
            decisions.append(
                {
                    "payload": payload,
                    "values": list(values),
                    "label": choice.label,
                    "posterior": list(choice.posterior),
                    "escalate": choice.escalate,
                }
            )
        cases.append({"name": name, "sha256": bundle.sha256, "bundle": bundle.document, "decisions": decisions})
    buckets = [
        {"salt": salt, "key": key, "bucket": bucket(salt, key)}
        for salt in ("rollout-1", "rollout-2")
        for key in ("thread-1", "thread-2", "", "schön", "日本")
    ]
    return {"at": AT, "tolerance": 1e-12, "cases": cases, "buckets": buckets}


def main() -> int:
    text = json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n"
    if "--check" in sys.argv:
        same = PATH.read_text(encoding="utf-8") == text
        print("up to date" if same else f"{PATH} differs: run python scripts/make_vectors.py")
        return 0 if same else 1
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(text, encoding="utf-8")
    print(f"wrote {PATH}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
