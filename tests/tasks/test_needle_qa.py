"""Needle QA: answers where they are claimed, evidence anywhere, shares, and the same items for ever."""

import os
import re
import subprocess
import sys
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidValueError, UnknownNameError
from tasks.needle_qa import CHAINS, MAX_WORDS, MIN_WORDS, SPLITS, UNKNOWN, Needle, generate, make, stream, words_of
from tasks.needle_words import RELATIONS, WORDS

NEEDLES = st.builds(make, st.sampled_from(SPLITS), st.integers(0, 2**31), st.integers(0, 2**31))
GOLDEN = (
    "{'question': 'Into which room has Sylvia Elurski moved?'} ('485',) 67 "
    "A vault in Quarrybeck contains the patched fountain. "
    "The luggage of Eugene Kastotski was carried to room 462, on the top floor, whereas the register puts Arthur Belangard in room 517. "
    "The register puts Sylvia Lomurski in room 721. The luggage of Sylvia Eliaski was carried to room 626, on the top floor. "
    "Sylvia Elurski performs on the horn. The register puts Sylvia Elurski in room 485. "
    "The gilded spyglass has passed into the hands of Isaac Asancroft. Sylvia Elurski passed the early years in Flintholme."
)


@pytest.fixture(scope="module")
def many() -> list[Needle]:
    return [make("train", 5, index) for index in range(3000)]


def position(needle: Needle) -> list[int]:
    """Characters at which each piece of evidence starts."""
    return [needle.example.source.index(piece) for piece in needle.evidence]


@given(NEEDLES)
def test_lengths_and_oracle_are_in_bounds(needle: Needle) -> None:
    words = len(needle.example.source.split())
    assert MIN_WORDS <= words <= MAX_WORDS
    assert needle.example.oracle is not None
    assert 1 <= needle.example.oracle <= words


@given(NEEDLES)
def test_the_answer_is_where_it_is_claimed(needle: Needle) -> None:
    example = needle.example
    (answer,) = example.references
    assert example.oracle is not None
    words = example.source.split()
    if answer == UNKNOWN:
        assert example.oracle == len(words)
        assert len(needle.evidence) == needle.facts - 1
        assert UNKNOWN not in example.source
        return
    assert len(needle.evidence) == needle.facts
    # Nowhere but in the evidence: a model that finds it elsewhere has guessed.
    alone = re.compile(rf"(?<![\w:]){re.escape(answer)}(?!\w)")
    assert [len(alone.findall(text)) for text in (example.source, " ".join(needle.evidence))] == [1, 1]
    # The oracle is in the last piece of evidence: past its start, not past its end.
    last = max(position(needle))
    piece = needle.evidence[position(needle).index(last)]
    assert len(example.source[:last].split()) < example.oracle <= len(example.source[: last + len(piece)].split())
    # What is read by then holds the answer.
    assert answer in " ".join(words[: example.oracle])


@given(NEEDLES)
def test_the_question_is_about_its_evidence(needle: Needle) -> None:
    question = needle.example.inputs["question"]
    assert not re.search(r"[{}|]", question + needle.example.source)
    assert question.endswith("?")
    if needle.facts == 1:
        split = needle.example.id.split(":")[1]
        _, subject = asked_of(needle, split)
        assert all(subject in piece for piece in needle.evidence)
        # Also where there is no answer: something else is said of the subject.
        assert subject in needle.example.source


@given(NEEDLES)
def test_a_passage_reads_as_sentences(needle: Needle) -> None:
    source = needle.example.source
    assert source.endswith(".")
    assert all(sentence[0].isupper() or sentence[0].isdigit() for sentence in source[:-1].split(". "))
    assert needle.example.cluster == needle.example.id


def test_shares_of_the_kinds(many: list[Needle]) -> None:
    assert shares(many) == pytest.approx((0.6, 0.2, 0.3), abs=0.04)
    assert shares([make("chains", 5, index) for index in range(3000)]) == pytest.approx((0.3, 0.45, 0.6), abs=0.04)


def shares(needles: list[Needle]) -> tuple[float, float, float]:
    """Of all, those that one fact answers, and two; of the others, those that ask for two."""
    unanswered = [needle.facts for needle in needles if needle.example.references == (UNKNOWN,)]
    answered = [needle.facts for needle in needles if needle.example.references != (UNKNOWN,)]
    return answered.count(1) / len(needles), answered.count(2) / len(needles), unanswered.count(2) / len(unanswered)


def test_the_evidence_of_one_fact_is_anywhere(many: list[Needle]) -> None:
    """Chi-square over tenths of the passage, of the clause's place among the clauses' free places."""
    tenths = [0] * 10
    for needle in many:
        if needle.facts == 1 and needle.evidence:
            free = len(needle.example.source) - len(needle.evidence[0])
            tenths[min(9, 10 * position(needle)[0] // (free + 1))] += 1
    inner = tenths[1:-1]  # a passage has few clauses: its very start and end are places of their own
    mean = sum(inner) / 8
    assert sum((count - mean) ** 2 / mean for count in inner) < 26.1  # p = 0.0005 at 7 degrees of freedom
    assert all(count > 0.8 * mean for count in tenths)
    assert abs(tenths[0] - tenths[-1]) < 5 * (tenths[0] + tenths[-1]) ** 0.5


def test_the_oracle_leaves_something_to_gain(many: list[Needle]) -> None:
    read = {1: [0.0], 2: [0.0]}
    for needle in many:
        if needle.example.references != (UNKNOWN,):
            assert needle.example.oracle is not None
            read[needle.facts].append(needle.example.oracle / len(needle.example.source.split()))
    means = {facts: sum(found) / len(found) for facts, found in read.items()}
    assert 0.5 < means[1] < 0.65 < means[2] < 0.8


def test_another_subject_has_the_same_relation(many: list[Needle]) -> None:
    """In every passage that has room, and always where there is no answer."""
    for needle in many[:500]:
        if needle.facts == 1 and (len(needle.example.source.split()) >= 40 or not needle.evidence):
            relation, subject = asked_of(needle, "train")
            statements = WORDS["train"].relations[relation].statements
            found = [match for statement in statements for match in re.finditer(pattern(statement), needle.example.source, re.IGNORECASE)]
            own = [f" {match['s']}".endswith(f" {subject}") for match in found]  # a join's word may stand before the name
            assert not all(own)
            assert any(own) == bool(needle.evidence)


def asked_of(needle: Needle, split: str) -> tuple[str, str]:
    """The relation and the subject that a question of one fact asks for."""
    (found,) = {
        (relation, match["s"])
        for relation, phrasings in words_of(split).relations.items()
        for question in phrasings.questions
        if (match := re.fullmatch(pattern(question), needle.example.inputs["question"]))
    }
    return found


def pattern(template: str) -> str:
    """A template with groups for the one to three words of its names."""
    return re.sub(r"\\\{([sv])\\\}", r"(?P<\1>[\\w:]+(?: [\\w:]+){0,2}?)", re.escape(template.replace("|", ""))) + r"(?=[.,;]|$)"


def test_chains_lead_from_one_relation_to_the_next() -> None:
    for first, by_value, second in CHAINS:
        assert RELATIONS[second][0] == RELATIONS[first][0 if by_value else 1]
    assert ("store", True, "owner") in CHAINS  # who owns the object kept in Crowham?
    assert ("owner", False, "home") in CHAINS  # where does the owner of the copper lantern live?
    assert {second for _, _, second in CHAINS} == set(RELATIONS)


def test_items_depend_on_split_seed_and_index_only() -> None:
    items = generate("dev", 20, 3)
    assert generate("dev", 5, 3) == items[:5]
    assert list(islice(stream("dev", 3), 20)) == items
    assert [item.id for item in items[:2]] == ["needle:dev:3:0", "needle:dev:3:1"]
    assert len({item.source for seed in (3, 4) for split in SPLITS for item in generate(split, 20, seed)}) == 160


def test_a_golden_item_in_another_process_with_another_hash_seed() -> None:
    script = (
        "from tasks import read_data; e = read_data('needle:test:8:7', 'answer')[-1]; print(e.inputs, e.references, e.oracle, e.source)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == GOLDEN


def test_what_cannot_be_generated_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="chains, dev, test, train; got 'validation'"):
        generate("validation", 3)
    with pytest.raises(UnknownNameError, match="got 'validation'"):
        stream("validation")
    with pytest.raises(InvalidValueError, match="at least 1 item; got 0"):
        generate("dev", 0)
