"""Words of needle QA: complete for every split, and nothing of one split in another."""

import re
from collections.abc import Callable
from itertools import combinations, product

import pytest

from tasks.needle_words import ENTITIES, RELATIONS, WORDS, Form, Words

SPLIT = pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)


def bare(phrase: str) -> str:
    return " ".join(re.findall(r"\w+", re.sub(r"\{\w\}", " ", phrase).lower()))


def phrases(words: Words) -> set[str]:
    of_relations = [
        text for one in words.relations.values() for group in (one.statements, one.questions, one.subject, one.value) for text in group
    ]
    of_mentions = [text for group in words.mentions.values() for text in group]
    return {bare(text) for text in [*of_relations, *of_mentions, *words.openers, *words.bodies]}


def parts(words: Words, kind: str) -> tuple[tuple[str, ...], ...]:
    (form,) = words.names[kind]
    return form.parts


def combined(*lists: tuple[str, ...]) -> set[str]:
    return {"".join(chosen).lower() for chosen in product(*lists)}


VOCABULARIES: dict[str, Callable[[Words], set[str]]] = {
    "phrases": phrases,
    "first names": lambda words: set(parts(words, "person")[0]),
    "surnames": lambda words: combined(*parts(words, "person")[1:]),
    "places": lambda words: combined(*parts(words, "place")),
    "looks": lambda words: set(parts(words, "item")[0]),
    "things": lambda words: set(parts(words, "item")[1]),
    "trades": lambda words: set(parts(words, "trade")[0]),
    "instruments": lambda words: set(parts(words, "instrument")[0]),
    "coins": lambda words: set(parts(words, "price")[2]),
}


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize(("one", "other"), list(combinations(WORDS, 2)))
def test_splits_share_nothing(vocabulary: str, one: str, other: str) -> None:
    first, second = VOCABULARIES[vocabulary](WORDS[one]), VOCABULARIES[vocabulary](WORDS[other])
    assert first
    assert second
    assert first & second == set()


def test_there_are_many_relations_and_phrasings() -> None:
    assert len(RELATIONS) >= 12
    for relation in RELATIONS:
        assert sum(len(words.relations[relation].statements) for words in WORDS.values()) >= 4
        assert sum(len(words.relations[relation].questions) for words in WORDS.values()) >= 3


@SPLIT
def test_every_relation_is_complete(words: Words) -> None:
    assert set(words.relations) == set(RELATIONS)
    assert set(words.mentions) == set(ENTITIES)
    for relation, (_, value) in RELATIONS.items():
        one = words.relations[relation]
        assert len(one.statements) >= 2
        assert len(one.questions) >= 2
        assert one.subject
        assert bool(one.value) == (value in ENTITIES)


@SPLIT
def test_phrasings_have_their_places(words: Words) -> None:
    for one in words.relations.values():
        for statement in one.statements:
            known = statement.partition("|")[0]
            assert known.count("{s}") == known.count("{v}") == 1
            assert statement[0] in "{" or statement[0].isupper()
        for question in one.questions:
            assert question.count("{s}") == 1
            assert question.endswith("?")
        assert all(phrase.count("{v}") == 1 and "{s}" not in phrase for phrase in one.subject)
        assert all(phrase.count("{s}") == 1 and "{v}" not in phrase for phrase in one.value)


@SPLIT
def test_an_item_has_an_article_before_it(words: Words) -> None:
    """Names of items and the phrases that stand for one come without."""
    for relation, (subject, _) in RELATIONS.items():
        one = words.relations[relation]
        if subject == "item":
            shown = [*one.statements, *one.questions, *one.value]
            assert all(re.search(r"\b[Tt]he (lost )?\{s\}", text) for text in shown)
            assert not any(phrase.startswith("the ") for phrase in one.subject)
        else:
            assert all(phrase.startswith("the ") for phrase in one.subject)


@SPLIT
def test_a_full_stop_ends_sentences_only(words: Words) -> None:
    for text in [*phrases_as_written(words), *words.joins]:
        assert "." not in text


def phrases_as_written(words: Words) -> list[str]:
    statements = [text for one in words.relations.values() for text in one.statements]
    return [*statements, *(text for group in words.mentions.values() for text in group), *words.openers, *words.bodies]


@SPLIT
def test_no_value_is_part_of_one_of_another_kind(words: Words) -> None:
    """So that an answer in digits stands in its own clause only."""

    def samples(form: Form) -> set[str]:
        return {form.template.format(*chosen) for chosen in product(*(part[:4] + part[-4:] for part in form.parts))}

    kinds = {kind: {name for form in forms for name in samples(form)} for kind, forms in words.names.items()}
    for one, other in combinations(kinds, 2):
        tokens = [{token for name in kinds[kind] for token in re.findall(r"[\w:]+", name)} for kind in (one, other)]
        whole = [{name for name in kinds[kind] if " " not in name} for kind in (one, other)]
        assert not whole[0] & tokens[1]
        assert not whole[1] & tokens[0]


@SPLIT
def test_names_seldom_repeat(words: Words) -> None:
    for kind, least in (("person", 5_000), ("place", 300), ("item", 200)):
        size = 1
        for part in parts(words, kind):
            assert len(set(part)) == len(part)
            size *= len(part)
        assert size >= least
