from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.chains import GENESIS, ChainReport, Link, forge, verify

contents = st.dictionaries(st.sampled_from(["actor", "action", "ärger"]), st.integers() | st.text(max_size=5))


def chain(given_contents: list[dict[str, Any]]) -> list[Link]:
    links: list[Link] = []
    for content in given_contents:
        links.append(forge(content, seq=len(links) + 1, previous=links[-1].sha256 if links else GENESIS))
    return links


chain_of = st.lists(contents, min_size=1, max_size=6).map(chain)


@given(links=chain_of)
def test_what_was_forged_holds(links: list[Link]) -> None:
    assert verify(links) == ChainReport(length=len(links), head=links[-1].sha256)


def test_an_empty_chain_holds_at_its_beginning() -> None:
    assert verify([]) == ChainReport(length=0, head=GENESIS)
    assert verify([]).holds


@settings(max_examples=80)
@given(links=chain_of, data=st.data())
def test_any_changed_body_is_named(links: list[Link], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(links) - 1))
    body = data.draw(st.text(max_size=20).filter(lambda text: text != links[place].body))
    spoiled = [*links[:place], replace(links[place], body=body), *links[place + 1 :]]
    report = verify(spoiled)
    assert (report.broken_at, report.length) == (place + 1, place)
    assert "was changed" in (report.problem or "")


@settings(max_examples=80)
@given(links=chain_of.filter(lambda links: len(links) > 1), data=st.data())
def test_any_rewritten_link_breaks_the_next_one(links: list[Link], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(links) - 2))
    rewritten = forge({"actor": "eve"}, seq=place + 1, previous=links[place].previous)
    report = verify([*links[:place], rewritten, *links[place + 1 :]])
    assert report.broken_at == place + 2 or rewritten == links[place]


@settings(max_examples=80)
@given(links=chain_of.filter(lambda links: len(links) > 1), data=st.data())
def test_any_removed_link_is_missed(links: list[Link], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(links) - 2))
    report = verify([*links[:place], *links[place + 1 :]])
    assert (report.holds, report.broken_at) == (False, place + 2)
    assert f"entry {place + 1} is missing" in (report.problem or "")


@settings(max_examples=80)
@given(links=chain_of.filter(lambda links: len(links) > 1), data=st.data())
def test_any_other_order_is_refused(links: list[Link], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(links))).filter(lambda order: order != sorted(order)))
    assert not verify([links[i] for i in order]).holds


def odd(body: str, *, seq: int = 1, previous: str = GENESIS) -> Link:
    return Link(seq=seq, sha256=hashlib.sha256(body.encode()).hexdigest(), previous=previous, body=body)


def test_links_that_only_look_right_are_named() -> None:
    honest = json.dumps({"seq": 1, "previous": GENESIS})
    cases = {
        "is not JSON": odd("{"),
        "is no JSON object": odd("[]"),
        "does not follow": odd(json.dumps({"seq": 1, "previous": "f" * 64})),
        "says it is entry 7": odd(json.dumps({"seq": 7, "previous": GENESIS})),
        "says it is entry None": odd(json.dumps({"previous": GENESIS})),
        "was changed": replace(odd(honest), sha256="f" * 64),
        "does not follow the entry before": replace(odd(honest), previous="f" * 64),
    }
    for words, link in cases.items():
        report = verify([link])
        assert (report.broken_at, report.length, report.head) == (1, 0, GENESIS)
        assert words in (report.problem or "")
    assert verify([odd(honest)]).holds
