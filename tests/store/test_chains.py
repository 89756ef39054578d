from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import IntegrityError
from tests.store.rows import AT

from trimtab.core import chains
from trimtab.core.chains import GENESIS, ChainReport
from trimtab.store import chains as store
from trimtab.store.engine import open_engine, reading, writing
from trimtab.store.tables import audit, packets


def note(connection: Any, what: str) -> str:
    return store.append_audit(
        connection, at=AT, actor="ada", role="admin", action="test.note", subject="mail", details={"what": what}
    )


def filled(engine: Engine, n: int = 5) -> None:
    for i in range(n):
        with writing(engine) as connection:
            note(connection, str(i))


def report(engine: Engine) -> ChainReport:
    with reading(engine) as connection:
        return chains.verify(store.links(connection, audit))


def spoil(engine: Engine, statement: str) -> None:
    with writing(engine) as connection:
        connection.execute(text(statement))


def test_an_untouched_chain_holds_to_its_head(engine: Engine) -> None:
    filled(engine)
    found = report(engine)
    assert (found.holds, found.length) == (True, 5)
    with reading(engine) as connection:
        newest = store.recent_audit(connection, limit=1)[0]
    assert found.head == newest.sha256


def test_an_empty_chain_holds(engine: Engine) -> None:
    assert report(engine) == ChainReport(length=0, head=GENESIS)


@pytest.mark.parametrize(
    ("statement", "broken_at", "words"),
    [
        ("UPDATE audit SET body = replace(body, 'ada', 'eve') WHERE seq = 3", 3, "entry 3 was changed"),
        ("UPDATE audit SET sha256 = replace(sha256, 'a', 'b') WHERE seq = 3", 3, "entry 3 was changed"),
        ("DELETE FROM audit WHERE seq = 3", 4, "entry 3 is missing"),
        ("DELETE FROM audit WHERE seq = 1", 2, "entry 1 is missing"),
        ("UPDATE audit SET seq = 9 WHERE seq = 3", 4, "entry 3 is missing"),
        ("UPDATE audit SET previous = replace(previous, 'a', 'b') WHERE seq = 2", 2, "entry 2 does not follow"),
        ("UPDATE audit SET body = 'no JSON' WHERE seq = 2", 2, "entry 2 was changed"),
    ],
)
def test_the_first_broken_link_is_named(engine: Engine, statement: str, broken_at: int, words: str) -> None:
    filled(engine)
    spoil(engine, statement)
    found = report(engine)
    assert (found.holds, found.broken_at) == (False, broken_at)
    assert words in (found.problem or "")


def test_of_several_broken_links_the_first_is_named(engine: Engine) -> None:
    filled(engine)
    spoil(engine, "UPDATE audit SET body = '{}' WHERE seq IN (2, 4)")
    assert report(engine).broken_at == 2


def test_writers_at_once_make_one_chain(database_url: str) -> None:
    engines = [open_engine(database_url) for _ in range(2)]

    def work(place: int) -> None:
        for i in range(10):
            with writing(engines[place % 2]) as connection:
                note(connection, f"{place}/{i}")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = report(engines[0])
    assert (found.holds, found.length) == (True, 40)
    for engine in engines:
        engine.dispose()


def test_a_fork_is_refused_by_the_database_itself(engine: Engine) -> None:
    filled(engine, 2)
    with reading(engine) as connection:
        second = connection.execute(select(audit).where(audit.c.seq == 2)).one()
    rival = chains.forge({"actor": "eve"}, seq=3, previous=second.previous)
    row = {"seq": 3, "sha256": rival.sha256, "previous": rival.previous, "body": rival.body}
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(insert(audit).values(at=AT, actor="eve", action="x", subject="x", **row))


def test_an_action_that_fails_leaves_no_trace_in_the_chain(engine: Engine) -> None:
    filled(engine, 2)

    def fail() -> None:
        with writing(engine) as connection:
            note(connection, "never happened")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    filled(engine, 1)
    assert (report(engine).holds, report(engine).length) == (True, 3)


def test_a_proof_that_stops_early_leaves_the_connection_usable(engine: Engine) -> None:
    filled(engine)
    spoil(engine, "UPDATE audit SET body = '{}' WHERE seq = 1")
    with reading(engine) as connection:
        assert chains.verify(store.links(connection, audit)).broken_at == 1
        assert chains.verify(store.links(connection, packets)).holds
