"""Every setting: name, type, default, help. Read once, in `bootstrap`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from trimtab.errors import SettingError

_HELP: Mapping[str, str] = {
    "database_url": "Where everything is remembered: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME.",
    "signing_key": "The file with the private key that signs evidence packets; replicas share one. Default: beside the "
    "SQLite file, or ~/.trimtab/signing-key.pem with PostgreSQL.",
    "actor": "Who acts from the command line on a local database.",
    "role": "The role in which that actor acts: viewer, reviewer, approver, operator, admin.",
    "review_budget": "Questions drawn for people each night, per agent.",
    "discordant_quota": "Further questions each night on decisions where a live rollout's arms differ.",
    "reviewers_wanted": "How many people answer each question, without seeing each other's answer.",
    "double_review_share": "Share of the questions, chosen by a hash of the key, that at least two people answer, so "
    "that their agreement is measured.",
    "job_lease_s": "Seconds after which another worker may take over a job whose worker fell silent.",
    "job_attempts": "How often a failing job is tried before it is dead.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings with their defaults. From the environment as TRIMTAB_<NAME IN CAPITALS>."""

    database_url: str = "sqlite:///trimtab.db"
    signing_key: str = ""
    actor: str = ""
    role: str = "admin"
    review_budget: int = 30
    discordant_quota: int = 30
    reviewers_wanted: int = 1
    double_review_share: float = 0.1
    job_lease_s: int = 600
    job_attempts: int = 3

    def __post_init__(self) -> None:
        for name, low, high in (
            ("review_budget", 0, 10_000),
            ("discordant_quota", 0, 10_000),
            ("reviewers_wanted", 1, 9),
            ("double_review_share", 0, 1),
            ("job_lease_s", 1, 86_400),
            ("job_attempts", 1, 100),
        ):
            if not low <= getattr(self, name) <= high:
                raise SettingError(f"{env_name(name)}: must lie between {low} and {high}, got {getattr(self, name)}")


_NUMBERS: Mapping[str, tuple[type[int] | type[float], str]] = {
    "int": (int, "whole number"),
    "float": (float, "number"),
}


def env_name(name: str) -> str:
    """The environment variable of a setting."""
    return "TRIMTAB_" + name.upper()


def documented() -> list[tuple[str, str, Any, str]]:
    """(environment variable, type, default, help) of every setting."""
    return [(env_name(f.name), str(f.type), f.default, _HELP[f.name]) for f in fields(Settings)]


def from_environment(environment: Mapping[str, str], **overrides: Any) -> Settings:
    """Settings from environment variables; `overrides` (not None) win. Raises SettingError naming the variable."""
    values: dict[str, Any] = {}
    for field in fields(Settings):
        given = environment.get(env_name(field.name))
        if given is None or given == "":
            continue
        if field.type in _NUMBERS:
            kind, what = _NUMBERS[str(field.type)]
            try:
                values[field.name] = kind(given)
            except ValueError:
                raise SettingError(f"{env_name(field.name)}: must be a {what}, got {given!r:.60}") from None
        else:
            values[field.name] = given
    values |= {name: value for name, value in overrides.items() if value is not None}
    return Settings(**values)
