"""The agents that come with Trimtab: specs as data, read from the TOML files beside this module."""

from __future__ import annotations

from importlib import resources

from trimtab.core.agents import AgentSpec, parse_toml

__all__ = ["builtin_specs"]


def builtin_specs() -> dict[str, AgentSpec]:
    """The built-in agents' specs by name, sorted."""
    files = [entry for entry in resources.files(__name__).iterdir() if entry.name.endswith(".toml")]
    specs = [parse_toml(entry.read_text(encoding="utf-8")) for entry in files]
    return {spec.agent: spec for spec in sorted(specs, key=lambda spec: spec.agent)}
