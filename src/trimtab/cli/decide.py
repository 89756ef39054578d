"""trimtab decide: what an agent's process does, from the shell: through the SDK, one payload or a whole file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trimtab.cli.plain import number, percent, short
from trimtab.cli.session import Session
from trimtab.errors import InvalidInputError, StorageError

if TYPE_CHECKING:
    from trimtab.cli.output import Output
    from trimtab.core.agents import AgentSpec
    from trimtab.plugins.importers import BadRow, KeyedRow
    from trimtab.sdk.client import Client, Decision

FLUSH_EVERY = 5_000  # decisions; far below what the client can queue
FLUSH_SECONDS = 60.0


def decide(
    session: Session,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent that decides.")],
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="What the decision is about; the same key gets the same arm."),
    ] = None,
    payload: Annotated[
        str | None, typer.Option("--payload", metavar="JSON", help="The payload as a JSON object, or @FILE.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="ROWS", help="Decide on every row of a .csv, .jsonl or .parquet.")
    ] = None,
    key_column: Annotated[
        str | None, typer.Option("--key-column", metavar="COLUMN", help="With --file: the column with the keys.")
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="COLUMN", help="With --file: a column that is no part of the payload."),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option("--rows", metavar="FIRST:LAST", help="With --file: these rows only, such as 1:150 or 151:."),
    ] = None,
    fallback: Annotated[
        str | None, typer.Option("--fallback", metavar="LABEL", help="The label where no policy can serve.")
    ] = None,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="Take values that the spec does not allow as missing, as agents do.")
    ] = False,
) -> None:
    """Decide as an agent does, through the SDK.

    Every decision is stored. With --file a bad row is named and the others are decided on; the exit code is then 2.
    """
    if (file is None) == (key is None or payload is None) or (file is not None and (key or payload)):
        raise InvalidInputError("give --key and --payload for one decision, or --file for many")
    if file is not None:
        _decide_file(session, agent, file, _rows(file, rows, key_column, ignore or []), fallback=fallback)
        return
    from trimtab.cli.files import payload_of

    assert key is not None
    assert payload is not None
    _decide_one(session, agent, key, payload_of(payload), fallback=fallback, lenient=lenient)


def _decide_one(
    session: Session, agent: str, key: str, payload: dict[str, Any], *, fallback: str | None, lenient: bool
) -> None:
    with _client(session, agent, fallback) as (client, spec, at):
        if not lenient:
            from trimtab.core.events import check_key, check_payload_size
            from trimtab.core.features import extract_strict

            check_key(key)
            check_payload_size(payload)
            extract_strict(spec.features, payload, at=at)
        decision = client.decide(agent, key=key, payload=payload, fallback=fallback)
        explanation = decision.explain()
        _stored(client)

    def render(out: Output) -> None:
        out.line(f"{decision.label or 'no label'}", "bold")
        out.fields(
            [
                ("confidence", number(decision.confidence)),
                ("a person should look", "yes" if decision.escalate else "no"),
                ("arm", decision.arm),
                ("reason", decision.reason),
                ("bundle", short(decision.bundle)),
                ("decision", decision.id),
            ]
        )
        if decision.problem:
            out.bad(decision.problem)
        if explanation is not None:
            out.heading("why")
            for line in explanation.lines():
                out.line(line)

    session.show({**_plain(decision), "explanation": explanation}, render)


def _decide_file(
    session: Session, agent: str, path: Path, rows: Iterator[KeyedRow | BadRow], *, fallback: str | None
) -> None:
    from trimtab.cli.output import Output, progress
    from trimtab.plugins.importers import BadRow

    counts: Counter[tuple[str, str, str]] = Counter()
    escalated = 0
    bad: list[str] = []
    with _client(session, agent, fallback) as (client, _, _):
        for done, row in enumerate(progress(rows, f"deciding on {path.name}"), start=1):
            if isinstance(row, BadRow):
                bad.append(str(row))
                if session.json:
                    session.emit({"place": row.place, "error": row.problem}, indent=None)
                continue
            decision = client.decide(agent, key=row.key, payload=row.payload, fallback=fallback)
            if decision.reason == "ERROR":
                bad.append(f"{row.place}: {decision.problem}")
            counts[decision.label or "no label", decision.arm, decision.reason] += 1
            escalated += decision.escalate
            if session.json:
                session.emit({"place": row.place, **_plain(decision)}, indent=None)
            if done % FLUSH_EVERY == 0:
                _stored(client)
        _stored(client)
    if not session.json:
        _summary(Output(), counts, escalated, bad)
    if bad:
        raise InvalidInputError(f"{len(bad)} of the rows could not be decided on; the first is {bad[0]}")


def _summary(out: Output, counts: Counter[tuple[str, str, str]], escalated: int, bad: list[str]) -> None:
    total = sum(counts.values())
    out.table(
        ("label", "arm", "reason", "decisions", "share"),
        [(*which, n, percent(n / total)) for which, n in sorted(counts.items())],
        empty="no decision was made",
    )
    out.line(f"{total:,} decisions stored; {escalated:,} of them should be looked at by a person")
    for one in bad[:10]:
        out.bad(one)
    if len(bad) > 10:
        out.bad(f"and {len(bad) - 10:,} more")


def _rows(path: Path, part: str | None, key_column: str | None, ignore: list[str]) -> Iterator[KeyedRow | BadRow]:
    from trimtab.cli.files import part_of
    from trimtab.plugins.importers import KEY_COLUMNS, keyed_rows, read_rows

    texts = [*KEY_COLUMNS, *([key_column] if key_column is not None else [])]
    rows = part_of(read_rows(path, text_columns=texts), part)
    yield from keyed_rows(rows, name=path.stem, key_column=key_column, ignore=ignore)


@contextmanager
def _client(session: Session, agent: str, fallback: str | None) -> Iterator[tuple[Client, AgentSpec, datetime]]:
    """The SDK's client on the session's database, after checking what the SDK would only fall back on."""
    import trimtab
    from trimtab.core.rights import Right

    with session.open() as (opened, actor):
        actor.require(Right.INGEST)
        at = opened.context.now()
        spec = opened.agents.get(actor, agent)
    if fallback is not None and fallback not in spec.labels:
        raise InvalidInputError(f"fallback: {fallback!r:.80} is no label of {agent}; it has {', '.join(spec.labels)}")
    client = trimtab.connect(session.settings().database_url, refresh_s=None)
    try:
        yield client, spec, at
    finally:
        client.close()


def _stored(client: Client) -> None:
    if not client.flush(FLUSH_SECONDS):
        raise StorageError(f"decisions could not be stored: {client.state['send_error']}; run the same again")
    if client.state["rejected"]:
        raise InvalidInputError(f"a decision was refused: {client.state['last_rejection']}")


def _plain(decision: Decision) -> dict[str, Any]:
    names = ("id", "agent", "key", "at", "label", "confidence", "escalate", "arm", "bundle", "reason", "problem")
    return {name: getattr(decision, name) for name in names}
