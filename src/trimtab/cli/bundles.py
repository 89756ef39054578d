"""trimtab bundles: readable policies: train, read, compare, carry, roll back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.cli.command import command, group
from trimtab.cli.plain import moment, short, when
from trimtab.cli.session import Session
from trimtab.errors import InvalidInputError

if TYPE_CHECKING:
    from trimtab.cli.output import Output

bundles = group("Readable policies: train, read, compare, carry, roll back.")

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The hash, at least 8 characters of it.")]
_HASH = re.compile(r"[0-9a-f]{64}")


@command(bundles, "train")
def train(
    session: Session,
    agent: Agent,
    method: Annotated[str, typer.Option("--method", metavar="METHOD", help="logistic or tree.")] = "logistic",
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="The same examples and seed give the same bundle.")
    ] = None,
    propose: Annotated[bool, typer.Option("--propose", help="Put it forward at once.")] = False,
) -> None:
    """Train a candidate on the labelled store, with a held-out report."""
    from trimtab.cli.output import work
    from trimtab.core.training import Method

    if method not in list(Method):
        raise InvalidInputError(f"method: {method!r:.60} is none; there are {', '.join(Method)}")
    with session.open() as (trimtab, actor):
        result = work("training", lambda: trimtab.bundles.train(actor, agent, method=Method(method), seed=seed))
        proposal = trimtab.proposals.create(actor, agent, result.bundle.sha256) if propose else None
    bundle = result.bundle

    def render(out: Output) -> None:
        out.good(f"bundle {bundle.sha256}")
        for line in result.report.lines():
            out.line(line)
        out.hint(f"read it: trimtab bundles show {short(bundle.sha256)}")
        if proposal is None:
            out.hint(f"put it forward: trimtab proposals create {agent} {short(bundle.sha256)}")
        else:
            out.good(f"put forward as proposal {proposal.id}")
            out.hint(f"next, somebody else: trimtab proposals show {agent}, then trimtab proposals approve {agent}")

    document = {"sha256": bundle.sha256, "agent": agent, "report": bundle.document["report"]}
    session.show({**document, "proposal": proposal.id if proposal else None}, render)


@command(bundles, "list")
def listing(
    session: Session,
    agent: Agent,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 20,
) -> None:
    """An agent's newest bundles first, with what serves marked."""
    with session.open() as (trimtab, actor):
        found = trimtab.bundles.listing(actor, agent, limit=limit)
        pointer = next(p for s, _, p in trimtab.agents.listing(actor) if s.agent == agent)
    roles = {pointer.challenger: "challenger", pointer.champion: "champion"}
    document = [
        {
            "sha256": row.sha256,
            "agent": row.agent,
            "kind": row.method,
            "created_at": row.created_at,
            "created_by": row.created_by,
            "role": roles.get(row.sha256) or ("earlier champion" if row.sha256 in pointer.previous else None),
        }
        for row in found
    ]

    def render(out: Output) -> None:
        out.table(
            ("bundle", "kind", "role", "made", "by"),
            [
                (short(one["sha256"]), one["kind"], one["role"] or "–", when(one["created_at"]), one["created_by"])
                for one in document
            ],
            empty=f"no bundles of {agent} yet; train one: trimtab bundles train {agent}",
        )

    session.show({"bundles": document}, render)


@command(bundles, "show")
def show(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The hash, 8 characters of it; with --agent also champion or newest.")
    ],
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="AGENT", help="Makes champion, challenger and newest names too.")
    ] = None,
) -> None:
    """A bundle in words: labels, features, policy, flip points, held-out report."""
    from trimtab.cli.bundle_text import show_bundle

    with session.open() as (trimtab, actor):
        bundle = trimtab.bundles.get(actor, name, agent=agent)
    session.show({"sha256": bundle.sha256, "bundle": bundle.document}, lambda out: show_bundle(out, bundle))


@command(bundles, "diff")
def diff(
    session: Session,
    agent: Agent,
    after: Annotated[
        str, typer.Option("--after", metavar="NAME", help="The bundle that would take over; newest is one too.")
    ],
    before: Annotated[
        str, typer.Option("--before", metavar="NAME", help="The one it would take over from.")
    ] = "champion",
) -> None:
    """What changes from one bundle to another, in words."""
    with session.open() as (trimtab, actor):
        found = trimtab.bundles.diff(actor, agent, before=before, after=after)
    session.show(found, lambda out: show_diff(out, found.lines()))


def show_diff(out: Output, lines: list[str]) -> None:
    """A diff's lines, what goes and what comes in colour."""
    for line in lines:
        out.line(line, {"+": "green", "-": "red", "~": "yellow"}.get(line[:1]))


@command(bundles, "upload")
def upload(
    session: Session,
    agent: Agent,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle, as `bundles export` writes it.")],
    sha256: Annotated[
        str | None,
        typer.Option("--sha256", metavar="HASH", help="What it must be; else the file's name if that is a hash."),
    ] = None,
) -> None:
    """Keep a bundle from outside. It is checked as hostile input; nothing in it is ever executed."""
    from trimtab.core.bundles import MAX_BYTES

    expected = sha256 or (file.stem if _HASH.fullmatch(file.stem) else None)
    try:
        with file.open("rb") as opened:
            document = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInputError(f"{file}: cannot be read: {error.strerror}") from None
    with session.open() as (trimtab, actor):
        stored = trimtab.bundles.upload(actor, agent, document, expect_sha256=expected)

    def render(out: Output) -> None:
        out.good(f"bundle {stored.bundle.sha256} {'stored' if stored.new else 'was there already'}")
        if expected is None:
            out.hint("nobody said which hash it must have; say it with --sha256 to be sure that it was not edited")

    answer = {"sha256": stored.bundle.sha256, "agent": agent, "new": stored.new, "verified": expected is not None}
    session.show(answer, render)


@command(bundles, "export")
def export(
    session: Session,
    name: Name,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Else HASH.json, which `upload` checks.")
    ] = None,
) -> None:
    """Write a bundle as the file that its hash names."""
    from trimtab.cli.files import write_new

    with session.open() as (trimtab, actor):
        bundle = trimtab.bundles.get(actor, name)
    path = out_file or Path(f"{bundle.sha256}.json")
    write_new(path, bundle.to_json())
    session.show({"sha256": bundle.sha256, "file": str(path)}, lambda out: out.good(f"wrote {path}"))


@command(bundles, "rollback")
def rollback(
    session: Session,
    agent: Agent,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever reads the history.")],
    steps: Annotated[int, typer.Option("--steps", help="How many champions back.")] = 1,
) -> None:
    """Let an earlier champion serve again; ends a live rollout too."""
    with session.open() as (trimtab, actor):
        pointer = trimtab.bundles.rollback(actor, agent, steps=steps, reason=reason)
    session.show(pointer, lambda out: out.good(f"{agent}: {short(pointer.champion)} serves again"))


@command(bundles, "replay")
def replay(
    session: Session,
    agent: Agent,
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="The bundle that would take over; newest is one too.")
    ],
    against: Annotated[
        str, typer.Option("--against", metavar="NAME", help="The one it would take over from.")
    ] = "champion",
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Decisions from then on, ISO 8601; else all.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Decisions before then.")] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="SLICE", help="'FEATURE <= 3', 'FEATURE > 3' or 'FEATURE = value' only."),
    ] = None,
) -> None:
    """Run two bundles over logged decisions: what would have changed, and what people say about that."""
    from trimtab.cli.output import work
    from trimtab.cli.replay_text import show_replay

    first = None if since is None else moment(since, "since")
    last = None if until is None else moment(until, "until")
    with session.open() as (trimtab, actor):
        found = work(
            "replaying",
            lambda: trimtab.replays.run(actor, agent, bundle, against=against, since=first, until=last, where=where),
        )
    session.show(found, lambda out: show_replay(out, found.to_mapping()))
