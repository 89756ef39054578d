"""trimtab agents: specs as data, what each agent serves, and the switch that stops it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trimtab.cli.command import command, group
from trimtab.cli.plain import number, percent, short, when
from trimtab.cli.session import Session
from trimtab.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from trimtab.cli.output import Output
    from trimtab.core.agents import AgentSpec
    from trimtab.services.agents import AddedSpec

agents = group("Specs as data, and what each agent serves.")

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")]
NOTES_SHOWN = 5
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever reads the history.")]


@command(agents, "add")
def add(
    session: Session,
    spec: Annotated[Path | None, typer.Argument(metavar="SPEC.toml", help="A spec in TOML.")] = None,
    builtin: Annotated[str | None, typer.Option("--builtin", metavar="NAME", help="A spec that comes along.")] = None,
) -> None:
    """Add an agent, or the next version of its spec."""
    found = _chosen_spec(spec, builtin)
    with session.open(create=True) as (trimtab, actor):
        added = trimtab.agents.add(actor, found)

    def render(out: Output) -> None:
        said = "added" if added.new else "unchanged: this is its newest spec already"
        out.good(f"{added.agent} version {added.version}: {said}")
        if added.new:
            out.hint(f"next: trimtab labels import {added.agent} FILE, then trimtab bundles train {added.agent}")

    session.show(added, render)


def _chosen_spec(spec: Path | None, builtin: str | None) -> AgentSpec:
    from trimtab.agents import builtin_specs
    from trimtab.core.agents import parse_toml

    if (spec is None) == (builtin is None):
        raise InvalidInputError("name a file with a spec, or --builtin NAME; there are " + ", ".join(builtin_specs()))
    if builtin is not None:
        specs = builtin_specs()
        if builtin not in specs:
            raise NotFoundError(f"there is no built-in agent {builtin!r:.80}; there are {', '.join(specs)}")
        return specs[builtin]
    assert spec is not None
    try:
        return parse_toml(spec.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InvalidInputError(f"{spec}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"{spec}: is not UTF-8") from None


@command(agents, "list")
def listing(session: Session) -> None:
    """Every agent with what it serves."""
    with session.open() as (trimtab, actor):
        found = trimtab.agents.listing(actor)
    document: list[dict[str, Any]] = [
        {
            "agent": spec.agent,
            "version": version,
            "description": spec.description,
            "labels": spec.labels,
            "features": len(spec.features),
            "champion": pointer.champion,
            "challenger": pointer.challenger,
            "share": pointer.share,
            "kill_switch": pointer.kill_switch,
        }
        for spec, version, pointer in found
    ]

    def render(out: Output) -> None:
        out.table(
            ("agent", "version", "labels", "features", "champion", "challenger", "share", "kill switch"),
            [
                (
                    one["agent"],
                    one["version"],
                    ", ".join(one["labels"]),
                    one["features"],
                    short(one["champion"]),
                    short(one["challenger"]),
                    percent(one["share"]) if one["challenger"] else "–",
                    "ON" if one["kill_switch"] else "off",
                )
                for one in document
            ],
            empty="no agents yet; add one with: trimtab agents add --builtin mail_triage",
        )

    session.show({"agents": document}, render)


@command(agents, "show")
def show(session: Session, agent: Agent) -> None:
    """An agent's spec and what it serves, with its earlier champions."""
    with session.open() as (trimtab, actor):
        spec = trimtab.agents.get(actor, agent)
        version, pointer = next((v, p) for s, v, p in trimtab.agents.listing(actor) if s.agent == agent)

    def render(out: Output) -> None:
        out.line(f"{spec.agent} version {version}", "bold")
        out.fields(
            [
                ("description", spec.description or "–"),
                ("labels", ", ".join(spec.labels)),
                ("a person looks below", percent(spec.escalate_below)),
                ("champion", short(pointer.champion)),
                ("challenger", short(pointer.challenger)),
                ("earlier champions", ", ".join(short(one) for one in reversed(pointer.previous)) or "none"),
                ("kill switch", "ON" if pointer.kill_switch else "off"),
                ("changed", when(pointer.updated_at)),
            ]
        )
        out.heading("features")
        out.table(
            ("name", "kind", "path", "range or categories", "when missing"),
            [
                (one.name, one.kind, one.path, _range(one), "unknown" if one.missing is None else one.missing)
                for one in spec.features
            ],
        )
        for title, table in (("guard plan", spec.guard), ("budgets", spec.budgets)):
            if table:
                out.heading(title)
                out.fields(table.items())
        for note in spec.notes:
            out.hint(f"note: {note}")

    session.show({"spec": spec, "version": version, "serving": pointer}, render)


def _range(feature: Any) -> str:
    if feature.categories:
        return ", ".join(feature.categories)
    if feature.minimum is None and feature.maximum is None:
        return "any"
    low = "any" if feature.minimum is None else number(feature.minimum)
    return f"{low} to {'any' if feature.maximum is None else number(feature.maximum)}"


@command(agents, "infer")
def infer(
    session: Session,
    sample: Annotated[Path, typer.Argument(metavar="SAMPLE", help="Payloads as .jsonl, .csv or .parquet.")],
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="The agent's name; from the file's when absent.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", metavar="COLUMN", help="The column with the right answers, if there is one."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="A,B,…", help="The labels, where no column has them.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key-column", metavar="COLUMN", help="The column that names each row, left out.")
    ] = None,
    out_file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the spec there.")] = None,
    store: Annotated[bool, typer.Option("--add", help="Add the agent at once, with this spec.")] = False,
) -> None:
    """Propose a spec from sample payloads: kinds, ranges, categories, and notes on what to check."""
    from trimtab.cli.files import payloads_for_inference, safe_name, write_new
    from trimtab.core.agents import render_toml
    from trimtab.core.inference import infer_spec

    samples = payloads_for_inference(sample, label=label, key=key)
    given = [one.strip() for one in labels.split(",")] if labels else []
    spec = infer_spec(agent or safe_name(sample), samples, label_field=label, labels=given)
    text = render_toml(spec)
    if out_file is not None:
        write_new(out_file, text)
    added = _store(session, spec) if store else None

    def render(out: Output) -> None:
        if out_file is None and added is None:
            typer.echo(text, nl=False)
            return
        size = f"{len(spec.labels)} labels, {len(spec.features)} features"
        if out_file is not None:
            out.good(f"wrote {out_file}: {size}")
        if added is not None:
            out.good(f"{added.agent} version {added.version}: {'added' if added.new else 'there already'}, {size}")
        for note in spec.notes[:NOTES_SHOWN]:
            out.hint(f"check: {note}")
        if len(spec.notes) > NOTES_SHOWN:
            out.hint(f"and {len(spec.notes) - NOTES_SHOWN} more notes, in the spec")
        if added is None:
            out.hint(f"next: read it, then trimtab agents add {out_file}")
        else:
            out.hint(f"read it: trimtab agents show {added.agent}; then: trimtab labels import {added.agent} FILE")

    file = None if out_file is None else str(out_file)
    session.show({"spec": spec, "file": file, "version": None if added is None else added.version}, render)


def _store(session: Session, spec: AgentSpec) -> AddedSpec:
    with session.open(create=True) as (trimtab, actor):
        return trimtab.agents.add(actor, spec)


@command(agents, "kill")
def kill(session: Session, agent: Agent, reason: Reason) -> None:
    """Stop an agent's policy at once: every decision is the caller's fallback, a live rollout is rolled back."""
    with session.open() as (trimtab, actor):
        pointer = trimtab.agents.kill(actor, agent, reason=reason)

    def render(out: Output) -> None:
        out.bad(f"{agent}: the kill switch is ON; every decision is the caller's fallback")
        out.hint(f"undo: trimtab agents revive {agent} --reason …")

    session.show(pointer, render)


@command(agents, "revive")
def revive(session: Session, agent: Agent, reason: Reason) -> None:
    """Let a killed agent's champion serve again."""
    with session.open() as (trimtab, actor):
        pointer = trimtab.agents.revive(actor, agent, reason=reason)
    session.show(pointer, lambda out: out.good(f"{agent}: the kill switch is off; {short(pointer.champion)} serves"))
