from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripts.make_demo_data import (
    DEFAULT_OUT,
    DEFAULT_SOURCE,
    SNIPPET_LENGTH,
    body_text,
    build,
    folded,
    header_text,
    message_from_bytes,
    policy,
    sender_domain,
    write,
)

from trimtab.demo.data_source import CodeJudge, DemoData, deal_days, split_by_key
from trimtab.demo.mail import MailData, load_mail
from trimtab.demo.naive_bayes import WordModel, best_temperature, words

RAW_MAIL = DEFAULT_SOURCE / "raw_eml.tar.gz"


@cache
def mail() -> MailData:
    return load_mail(seed=0)


# Enough of the stream for an accuracy within about two points, at a third of the time.
JUDGED = 1500


def judged(data: DemoData) -> tuple[int, ...]:
    return data.split.stream[:JUDGED]


def verdicts(data: DemoData, judge: CodeJudge) -> list[tuple[str, float]]:
    rules = data.starting_rules()
    payloads = map(data.payload, judged(data))
    return [judge.judge(payload, rules.choose(payload)[0]) for payload in payloads]


def accuracy(data: DemoData, chosen: Sequence[tuple[str, float]]) -> float:
    return sum(label == data.label(i) for (label, _), i in zip(chosen, judged(data), strict=True)) / len(chosen)


# --- the packaged mail ---


def test_the_packaged_mail_is_small_complete_and_carries_its_licence() -> None:
    folder = DEFAULT_OUT.parent
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 3_000_000
    assert "CC0" in (folder / "LICENSE.md").read_text(encoding="utf-8")
    data = mail()
    assert len(data.items) == 6046
    assert len(data.features) == 36
    assert Counter(data.label(i) for i in range(6046)) == {"ham": 4150, "spam": 1896}


@pytest.mark.skipif(not RAW_MAIL.is_file(), reason="the raw mail is not beside this checkout")
def test_the_packaged_mail_is_made_again_from_the_raw_mail_byte_for_byte(tmp_path: Path) -> None:
    table = build(DEFAULT_SOURCE)
    assert table.equals(pq.read_table(DEFAULT_OUT))
    write(table, tmp_path / "mail.parquet")
    if pq.read_metadata(tmp_path / "mail.parquet").created_by == pq.read_metadata(DEFAULT_OUT).created_by:
        assert (tmp_path / "mail.parquet").read_bytes() == DEFAULT_OUT.read_bytes()


def test_no_packaged_text_shows_a_mail_address_or_a_control_character() -> None:
    data = mail()
    for i in range(len(data.items)):
        payload = data.payload(i)
        for name in ("subject", "snippet"):
            assert payload[name].isprintable()
            assert all(at == 0 or payload[name][at - 1] in "… @" for at in _ats(payload[name])), payload[name]
        assert len(payload["subject"]) <= 120
        assert len(payload["snippet"]) <= SNIPPET_LENGTH
        assert payload["from_domain"] is None or "@" not in payload["from_domain"]


def _ats(text: str) -> list[int]:
    """Where an @ stands directly before a word, as in an address."""
    return [i for i, c in enumerate(text[:-1]) if c == "@" and text[i + 1].isalnum() and (i and text[i - 1].isalnum())]


@pytest.mark.parametrize("seed", [0, 1, 20021009])
def test_a_conversation_is_never_split_between_history_stream_and_kept_aside(seed: int) -> None:
    data = load_mail(seed=seed)
    parts = [{data.key(i) for i in part} for part in (data.split.history, data.split.stream, data.split.kept_aside)]
    assert len(set.union(*parts)) == sum(map(len, parts))
    assert sorted((*data.split.history, *data.split.stream, *data.split.kept_aside)) == list(range(6046))
    assert 380 <= len(data.split.history) <= 400
    assert 980 <= len(data.split.kept_aside) <= 1000


def test_mails_with_equal_features_share_a_key() -> None:
    data = mail()
    key_of: dict[tuple[object, ...], str] = {}
    for i in range(len(data.items)):
        payload = data.payload(i)
        assert key_of.setdefault(tuple(payload[name] for name in data.features), data.key(i)) == data.key(i)


def test_another_seed_gives_another_split_and_the_same_seed_the_same_one() -> None:
    assert load_mail(seed=0).split == mail().split
    assert load_mail(seed=1).split != mail().split


def test_the_five_mail_judges_differ_in_skill_as_they_say() -> None:
    data = mail()
    found = {judge.name: verdicts(data, judge) for judge in data.judges()}
    skill = {name: accuracy(data, chosen) for name, chosen in found.items()}
    assert 0.76 <= skill["keyword_rules"] <= 0.83
    assert 0.82 <= skill["header_rules"] <= 0.88
    assert skill["text_bayes"] >= 0.93
    assert 0.70 <= skill["overconfident"] <= 0.78
    assert all(confidence >= 0.97 for _, confidence in found["overconfident"])
    mean = {name: sum(c for _, c in chosen) / len(chosen) for name, chosen in found.items()}
    assert abs(mean["text_bayes"] - skill["text_bayes"]) < 0.03
    assert mean["overconfident"] - skill["overconfident"] > 0.2


def test_the_flatterer_mostly_repeats_whatever_was_served() -> None:
    data = mail()
    judge = data.judges()[4]
    for served in data.labels:
        agreed = [judge.judge(data.payload(i), served)[0] == served for i in judged(data)]
        assert 0.85 < sum(agreed) / len(agreed) < 1.0


def test_the_hand_written_champion_leaves_room_to_learn() -> None:
    data = mail()
    rules = data.starting_rules()
    chosen = [rules.choose(data.payload(i)) for i in judged(data)]
    assert 0.78 <= accuracy(data, chosen) <= 0.86
    assert {condition["feature"] for rule in rules.rules for condition in rule["when"]} <= set(data.features)


def test_judges_give_the_same_verdicts_in_another_process_whatever_its_hash_seed() -> None:
    program = (
        "from trimtab.demo.mail import load_mail\n"
        "d = load_mail(seed=0)\n"
        "for j in d.judges():\n"
        "    print(j.name, j.version, [j.judge(d.payload(i), 'ham') for i in d.split.stream[:200]])\n"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1]
    data = mail()
    here = [
        (j.name, j.version, [j.judge(data.payload(i), "ham") for i in data.split.stream[:200]]) for j in data.judges()
    ]
    assert printed[0].splitlines() == [f"{name} {version} {found}" for name, version, found in here]


def test_a_judge_that_learned_from_other_mail_has_another_version() -> None:
    versions = [{judge.name: judge.version for judge in load_mail(seed=seed).judges()} for seed in (0, 1)]
    assert versions[0]["text_bayes"] != versions[1]["text_bayes"]
    assert versions[0]["keyword_rules"] == versions[1]["keyword_rules"]
    assert len(set(versions[0].values())) == 5


# --- reading raw mail ---


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["text/plain", "text/html", "multipart/mixed; boundary=x", "text/;"]))
def test_a_broken_mail_gives_some_text_and_no_error(body: bytes, kind: str) -> None:
    head = f"From: =?x-none?B?AAA=?= <a@b\nSubject: =?utf-8?Q?=ZZ?=\nContent-Type: {kind}; charset=nonsense\n"
    for raw in (body, head.encode() + b"Content-Transfer-Encoding: base64\n\n" + body):
        parsed = message_from_bytes(raw, policy=policy.compat32)
        assert folded(body_text(parsed), SNIPPET_LENGTH).isprintable()
        assert folded(header_text(parsed.get("subject")), 120).isprintable()
        sender_domain(parsed)


def test_a_mail_is_decoded_stripped_of_markup_and_masked() -> None:
    raw = (
        b"From: Ann <ann@Mail.Example.ORG>\nSubject: =?iso-8859-1?Q?Caf=E9?= for bob@example.net\n"
        b"Content-Type: text/html; charset=iso-8859-1\n\n"
        b"<style>p{}</style><p>Caf\xe9 &amp; cake</p>\x07 write to carl.x@example.com"
    )
    parsed = message_from_bytes(raw, policy=policy.compat32)
    assert sender_domain(parsed) == "mail.example.org"
    assert folded(header_text(parsed["subject"]), 120) == "Café for …@example.net"
    assert folded(body_text(parsed), 240) == "Café & cake write to …@example.com"


# --- splitting and dealing ---


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), min_size=1, max_size=120),
    st.integers(0, 5),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_every_item_is_in_one_part_and_keys_stay_whole(
    rows: list[tuple[int, str]], seed: int, history: int, kept_aside: int
) -> None:
    items = [f"i{n}" for n in range(len(rows))]
    keys = [f"k{key}" for key, _ in rows]
    labels = [label for _, label in rows]
    split = split_by_key(items, keys, labels, seed=seed, history=history, kept_aside=kept_aside)
    parts = (split.history, split.stream, split.kept_aside)
    assert sorted(i for part in parts for i in part) == list(range(len(rows)))
    assert len({(keys[i], p) for p, part in enumerate(parts) for i in part}) == len(set(keys))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9000), st.integers(1, 60), st.integers(0, 6))
def test_days_take_the_stream_in_order_without_repeating(size: int, count: int, first_weekday: int) -> None:
    days = deal_days(range(size), count, seed=0, first_weekday=first_weekday)
    assert len(days) == count
    assert [i for day in days for i in day] == list(range(min(size, 200 * count)))


def test_weekends_are_quieter_than_working_days() -> None:
    days = [len(day) for day in mail().days(28)]
    weekend = [size for day, size in enumerate(days) if day % 7 >= 5]
    assert max(weekend) < min(size for day, size in enumerate(days) if day % 7 < 5)
    assert len(set(days)) > 10


# --- naive Bayes ---


def test_naive_bayes_learns_the_word_that_tells_labels_apart() -> None:
    bags = [words("offer" if i % 2 else "minutes", "the text", None) for i in range(40)]
    model = WordModel.learn_calibrated(bags, ["spam" if i % 2 else "ham" for i in range(40)], ("ham", "spam"))
    assert model.posterior(words("offer", "", None))["spam"] > 0.8
    assert model.posterior(frozenset()) == pytest.approx({"ham": 0.5, "spam": 0.5})


def test_scores_that_are_too_sure_get_a_temperature_above_one() -> None:
    scores = [[8.0, 0.0]] * 70 + [[8.0, 0.0]] * 30
    assert best_temperature(scores, [0] * 70 + [1] * 30) > 4
