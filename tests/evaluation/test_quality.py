"""Quality metrics: sums of vectors score as the libraries score a corpus, and answers as the SQuAD script does."""

import jiwer
import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from errors import InvalidValueError
from evaluation import answers
from evaluation.quality import QUALITY, Ending, LengthRatio, matrix, shares

WORD = st.sampled_from(["the", "The", "dog", "dogs", "sat", "down.", "(a", "mat)", "1,000", "Hund", "世界", "\n", "!"])
TEXT = st.lists(WORD, max_size=9).map(" ".join)
CORPUS = st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=6)
Corpus = list[tuple[str, str, str]]


def split(corpus: Corpus) -> tuple[list[str], list[tuple[str, str]]]:
    return [row[0] for row in corpus], [row[1:] for row in corpus]


def score(name: str, corpus: Corpus, weights: list[int] | None = None) -> float:
    rows = matrix(QUALITY[name], *split(corpus))
    return float(QUALITY[name].score(np.array(weights or [1] * len(corpus)) @ rows))


@pytest.mark.parametrize(("name", "library"), [("bleu", sacrebleu.corpus_bleu), ("chrf", sacrebleu.corpus_chrf)])
@given(corpus=CORPUS, data=st.data())
def test_bleu_and_chrf_are_sacrebleus_on_any_resample(name: str, library: object, corpus: Corpus, data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(corpus), max_size=len(corpus)).filter(any))
    hypotheses, references = split([row for row, weight in zip(corpus, weights, strict=True) for _ in range(weight)])
    right = library(hypotheses, list(zip(*references, strict=True))).score  # type: ignore[operator]
    assert score(name, corpus, weights) == pytest.approx(right, abs=1e-9)


def test_bleu_is_cased_and_a_perfect_corpus_has_100() -> None:
    assert score("bleu", [("The dog sat down.", "The dog sat down.", "A dog.")]) == pytest.approx(100)
    assert score("bleu", [("the dog sat down.", "The dog sat down.", "A dog.")]) < 100


@pytest.mark.parametrize(
    ("hypothesis", "references", "exact", "f1"),
    [
        ("The Eiffel Tower!", ["eiffel tower"], 1, 1),
        ("an U.S. dollar", ["us  dollar"], 1, 1),  # punctuation goes, and leaves no blank
        ("theatre", ["atre"], 0, 0),  # an article is a whole word
        ("in the dark red house", ["a red house", "barn"], 0, 2 * 2 / (4 + 2)),
        ("red red house", ["red house"], 0, 2 * 2 / (3 + 2)),  # a word counts as often as both have it
        ("barn", ["red house", "the barn"], 1, 1),
        ("half a barn", ["red barn house", "half"], 0, 2 / 3),
        ("", ["house"], 0, 0),
        ("the", ["a"], 1, 0),  # as the script: equal once empty, but no word in common
    ],
)
def test_squad_by_hand(hypothesis: str, references: list[str], exact: float, f1: float) -> None:
    assert answers.exact_match(hypothesis, references) == exact
    assert answers.f1(hypothesis, references) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("(C) in Paris", "C"),
        ("The answer is D.", "D"),
        ("I think B, not C", "B"),
        ("Dogs", None),
        ("A's", None),
        ("b", None),
        ("", None),
    ],
)
def test_the_first_letter_that_stands_alone_is_the_option(text: str, letter: str | None) -> None:
    assert answers.option_letter(text) == letter


def test_accuracy_needs_a_letter_in_the_reference() -> None:
    corpus = [("B) a dog", "B", "B"), ("B", "C", "D"), ("no idea", "A", "A"), ("D.", "C", "D")]
    assert score("accuracy", corpus) == pytest.approx(50)
    with pytest.raises(InvalidValueError, match="option letter, A to H"):
        score("accuracy", [("B", "Paris", "B")])


@pytest.mark.parametrize("name", ["exact_match", "f1"])
def test_answers_are_a_mean_in_percent(name: str) -> None:
    corpus = [("the dog", "dog", "cat"), ("a bird", "dog", "cat")]
    assert score(name, corpus) == pytest.approx(50)
    assert score(name, corpus, [3, 1]) == pytest.approx(75)


@pytest.mark.parametrize("name", ["rouge1", "rouge2", "rougeL"])
@settings(max_examples=30)
@given(corpus=CORPUS)
def test_rouge_is_the_librarys_mean_of_best_references(name: str, corpus: Corpus) -> None:
    scorer = RougeScorer([name], use_stemmer=True)
    right = [max(scorer.score(reference, hypothesis)[name].fmeasure for reference in two) for hypothesis, *two in corpus]
    assert score(name, corpus) == pytest.approx(100 * np.mean(right))


def test_rouge_stems() -> None:
    assert score("rouge1", [("dogs running", "dog runs", "x")]) == pytest.approx(100)


@given(corpus=CORPUS)
def test_wer_is_jiwers(corpus: Corpus) -> None:
    single = [(" ".join(hypothesis.split()), " ".join(reference.split())) for hypothesis, reference, _ in corpus]
    found = score("wer", [(hypothesis, reference, reference) for hypothesis, reference, _ in corpus])
    if any(reference for _, reference in single):
        assert found == pytest.approx(100 * jiwer.wer([row[1] for row in single], [row[0] for row in single]))
    else:
        assert np.isnan(found)


def test_wer_takes_the_nearest_reference_and_counts_words_over_lines() -> None:
    assert score("wer", [("the dog\nsat", "a cat ran off", "the dog sat down"), ("yes", "no", "no")]) == pytest.approx(100 * 2 / 5)


@pytest.mark.parametrize("name", list(QUALITY))
def test_many_sums_are_scored_at_once(name: str) -> None:
    rows = matrix(QUALITY[name], ["A dog sat.", "A", "the cat"], [["A dog sat down."], ["A"], ["A cat", "B the cat"]])
    sums = np.array([[1, 1, 1], [2, 0, 1], [0, 3, 0]]) @ rows
    found = QUALITY[name].score(sums)
    assert found.shape == (3,)
    assert found.tolist() == [float(QUALITY[name].score(row)) for row in sums]


def test_a_metric_says_which_way_is_better() -> None:
    better = {name for name, metric in QUALITY.items() if metric.higher_is_better}
    assert set(QUALITY) - better == {"wer", "wer_words"}
    for name in better - {"accuracy"}:
        assert score(name, [("the dog sat down", "the dog sat down", "")]) > score(name, [("a cat", "the dog sat down", "")])


def test_length_ratio_is_of_sums_and_of_the_main_reference() -> None:
    rows = matrix(LengthRatio(), ["a b c", ""], [["a b", "a"], ["a b c d"]])
    assert float(LengthRatio().score(rows.sum(axis=0))) == pytest.approx(3 / 6)
    assert np.isnan(LengthRatio().score(np.zeros(2)))


def test_shares_of_endings() -> None:
    endings = [
        Ending(" \n", "end", read=4, source_length=4),
        Ending("yes", "end", read=3, source_length=4),
        Ending("no no no", "length", read=3, source_length=4),
        Ending("no no no", "context", read=4, source_length=4),
    ]
    assert shares(endings) == {"empty": 25, "capped": 50, "early": 25}


def test_words_that_sound_the_same_are_the_same_if_that_is_asked_for() -> None:
    said, heard = "Hello, Tom! It's nine.", "hello tom its five"
    plain, cased = QUALITY["wer_words"], QUALITY["wer"]
    assert plain.statistics(heard, [said]).tolist() == [1, 4]
    assert cased.statistics(heard, [said]).tolist() == [4, 4]
    assert plain.score(plain.statistics(heard, [said])) == 25
