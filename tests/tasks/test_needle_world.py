"""What a passage may say: names once, no fact twice, nothing of what is withheld."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tasks.needle_words import RELATIONS, WORDS
from tasks.needle_world import Clause, Dice, Fact, World

SEEDS = st.integers(0, 10**6).map(str)


def asked(world: World, relation: str) -> Fact:
    subject, value = (world.first(kind) for kind in RELATIONS[relation])
    fact = Fact(relation, subject, value)
    world.withhold((fact,))
    return fact


def test_choices_are_those_of_random_and_of_nothing_else() -> None:
    """Golden: only seeding by text and random() are promised to stay as they are between Python versions."""
    dice = Dice("needle")
    assert [dice.below(1000) for _ in range(5)] == [584, 320, 47, 782, 179]
    assert "".join(Dice("needle").shuffled(list("abcdef"))) == "dbafce"


def test_every_order_is_as_likely() -> None:
    dice = Dice("orders")
    counts: dict[str, int] = {}
    for _ in range(6000):
        order = "".join(dice.shuffled(list("abc")))
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert all(abs(count - 1000) < 150 for count in counts.values())  # five standard deviations


@given(SEEDS, st.sampled_from(sorted(RELATIONS)), st.sampled_from(sorted(WORDS)))
def test_a_rival_states_the_relation_of_another_subject(seed: str, relation: str, split: str) -> None:
    world = World(Dice(seed), WORDS[split])
    fact = asked(world, relation)
    clause = world.rival(fact)
    templates = [statement.replace("|", "") for statement in WORDS[split].relations[relation].statements]
    assert any(all(piece in clause.text for piece in re.split(r"\{\w\}", template)) for template in templates)
    assert not re.search(rf"(?<![\w:]){re.escape(fact.value)}(?!\w)", clause.text)
    assert not re.search(rf"(?<![\w:]){re.escape(fact.subject)}(?!\w)", clause.text)
    assert not clause.needed


@given(SEEDS, st.sampled_from(sorted(RELATIONS)), st.sampled_from(sorted(WORDS)))
def test_a_sideline_names_the_subject_and_not_its_value(seed: str, relation: str, split: str) -> None:
    world = World(Dice(seed), WORDS[split])
    fact = asked(world, relation)
    clause = world.sideline(fact)
    assert fact.subject in clause.text
    assert fact.value not in clause.text.split()


@given(SEEDS, st.sampled_from(sorted(RELATIONS)), st.sampled_from(sorted(WORDS)))
def test_no_fact_is_stated_of_a_withheld_relation_or_twice(seed: str, relation: str, split: str) -> None:
    stated: list[Fact] = []

    class Listening(World):
        def state(self, fact: Fact, *, needed: bool = False) -> Clause:
            stated.append(fact)
            return super().state(fact, needed=needed)

    world = Listening(Dice(seed), WORDS[split])
    fact = asked(world, relation)
    for _ in range(60):
        world.distractor((fact,))
    keys = [(one.relation, one.subject) for one in stated]
    assert len(set(keys)) == len(keys)
    assert (fact.relation, fact.subject) not in keys
    values = [(one.relation, one.value) for one in [*stated, fact]]
    assert len(set(values)) == len(values)


@given(SEEDS, st.sampled_from(sorted(WORDS)))
def test_short_lists_run_out_without_an_error(seed: str, split: str) -> None:
    """Those of instruments have a dozen names, or some forty; after that there are neutral clauses."""
    world = World(Dice(seed), WORDS[split])
    fact = asked(world, "instrument")
    texts = [world.rival(fact).text for _ in range(120)]
    bodies = tuple(body[1:] for body in WORDS[split].bodies)
    assert any(text.endswith(bodies) for text in texts[-10:])


def test_what_is_known_before_the_end_of_a_clause_is_marked() -> None:
    world = World(Dice("a"), WORDS["train"])
    for _ in range(200):
        clause = world.state(Fact("home", "Ann", "Ham"), needed=True)
        assert {"Ann", "Ham"} <= set(clause.text[: clause.known].split())
        if "chapel" in clause.text:
            assert clause.text[: clause.known] == "The house of Ann stands in Ham"
            break
    else:
        raise AssertionError("expected the phrasing to come up")
