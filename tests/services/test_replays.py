from __future__ import annotations

from datetime import timedelta

import pytest
from tests.services.steps import (
    AGENT,
    MAIL,
    OPERATOR,
    START,
    VIEWER,
    accepted,
    add_agent,
    crown,
    gold,
    outcome,
    serve,
    upload,
    verdict,
    wait,
)

from trimtab.bootstrap import Trimtab
from trimtab.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from trimtab.services.replays import Flip


@pytest.fixture
def served(trimtab: Trimtab) -> Trimtab:
    """A champion that says spam from five links on, and ten decisions with 0 to 9 links."""
    add_agent(trimtab)
    crown(trimtab, 5)
    serve(trimtab, list(range(10)))
    return trimtab


def keys(flips: tuple[Flip, ...]) -> list[str]:
    return [flip.key for flip in flips]


def test_a_replay_shows_which_logged_decisions_would_flip_and_who_is_right(served: Trimtab) -> None:
    gold(served, [("thread-3", 3, "spam"), ("thread-4", 4, "ham"), ("thread-9", 9, "spam")])
    found = served.replays.run(VIEWER, MAIL, upload(served, 2).sha256)
    assert found.summary.compared == 10
    assert keys(found.better) == ["thread-3"]
    assert keys(found.worse) == ["thread-4"]
    assert keys(found.unlabelled) == ["thread-2"]
    flip = found.better[0]
    assert (flip.before, flip.after, flip.answer) == ("ham", "spam", "spam")
    shown = found.to_mapping()
    assert [one["key"] for one in shown["examples"]["worse"]] == ["thread-4"]
    assert (shown["champion"], shown["challenger"]) == (found.champion, found.challenger)


def test_a_replay_of_the_champion_flips_nothing(served: Trimtab) -> None:
    found = served.replays.run(VIEWER, MAIL, "champion")
    assert (found.summary.compared, found.better, found.worse, found.unlabelled) == (10, (), (), ())


def test_a_replay_keeps_to_its_time_and_its_slice(served: Trimtab) -> None:
    challenger = upload(served, 2).sha256
    half = START + timedelta(seconds=17)  # a decision every six seconds
    assert served.replays.run(VIEWER, MAIL, challenger, until=half).summary.compared == 3
    assert served.replays.run(VIEWER, MAIL, challenger, since=half).summary.compared == 7
    for where, compared in (("links <= 3", 4), ("links > 3", 6), ("links = 4", 1), ("known_sender = 1", 1)):
        assert served.replays.run(VIEWER, MAIL, challenger, where=where).summary.compared == compared
    nothing = served.replays.run(VIEWER, MAIL, challenger, where="links > 99")
    assert (nothing.summary.compared, nothing.cost_change_usd) == (0, None)


def test_a_slice_that_cannot_be_read_is_refused_with_its_grammar(served: Trimtab) -> None:
    for where in ("links", "links >= 3", "links <= many"):
        with pytest.raises(InvalidInputError, match="where: "):
            served.replays.run(VIEWER, MAIL, "champion", where=where)


def test_without_a_champion_the_other_side_must_be_named(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    first, second = upload(trimtab, 3), upload(trimtab, 5)
    with pytest.raises(ConflictError, match="no champion to compare with"):
        trimtab.replays.run(VIEWER, MAIL, first.sha256)
    found = trimtab.replays.run(VIEWER, MAIL, first.sha256, against=second.sha256)
    assert (found.champion, found.summary.compared) == (second.sha256, 0)
    with pytest.raises(NotFoundError):
        trimtab.replays.run(VIEWER, MAIL, "f" * 64, against=second.sha256)


def test_the_change_of_cost_follows_from_the_mean_cost_of_each_label(served: Trimtab) -> None:
    challenger = upload(served, 3).sha256
    assert served.replays.run(VIEWER, MAIL, challenger).cost_change_usd is None
    for event in served.decisions.recent(VIEWER, MAIL):
        accepted(served, [outcome(event, cost_usd=0.5 if event.label == "spam" else 0.1)])
    # Two of ten decisions become spam, each 0.4 dearer.
    assert served.replays.run(VIEWER, MAIL, challenger).cost_change_usd == pytest.approx(0.08)


def test_judges_speak_where_no_person_did(served: Trimtab) -> None:
    rows = served.decisions.recent(VIEWER, MAIL)
    accepted(served, [verdict(row, "judge", "spam" if row.payload["links"] >= 3 else "ham") for row in rows])
    wait(served, timedelta(minutes=1))
    gold(served, [(row.key, row.payload["links"], "spam" if row.payload["links"] >= 3 else "ham") for row in rows[:6]])
    found = served.replays.run(VIEWER, MAIL, upload(served, 3).sha256)
    assert found.summary.compared == 10
    assert keys(found.better) == ["thread-3", "thread-4"]


def test_a_replay_reports_its_progress_and_changes_nothing(served: Trimtab) -> None:
    done: list[int] = []
    audited = len(served.history.audit(VIEWER))
    served.replays.run(VIEWER, MAIL, "champion", progress=done.append)
    assert sum(done) == 10
    assert len(served.history.audit(VIEWER)) == audited


def test_a_proposal_carries_the_replay_of_its_moment(served: Trimtab) -> None:
    proposal = served.proposals.create(OPERATOR, MAIL, upload(served, 3).sha256)
    replay = proposal.evidence["replay"]
    assert (replay["compared"], len(replay["examples"]["unlabelled"])) == (10, 2)


def test_agents_may_not_look_back(served: Trimtab) -> None:
    with pytest.raises(ForbiddenError):
        served.replays.run(AGENT, MAIL, "champion")


def test_answers_that_a_bundle_may_have_learned_from_do_not_count_for_it(served: Trimtab) -> None:
    rows = [(f"old-{i}", i % 10, "spam" if i % 10 > 4 else "ham") for i in range(60)]
    gold(served, [*rows, ("thread-3", 3, "ham")])
    wait(served, timedelta(minutes=1))
    trained = served.bundles.train(OPERATOR, MAIL).bundle.sha256
    challenger = upload(served, 2).sha256
    before = served.replays.run(VIEWER, MAIL, challenger, against=trained)
    assert (before.summary.paired.labelled, before.answers_left_out) == (0, 61)
    wait(served, timedelta(minutes=1))
    gold(served, [("thread-4", 4, "ham")])
    after = served.replays.run(VIEWER, MAIL, challenger, against=trained)
    assert (keys(after.worse), after.summary.paired.labelled, after.answers_left_out) == (["thread-4"], 1, 61)
