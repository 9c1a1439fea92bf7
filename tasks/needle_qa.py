"""Needle QA: seeded passages with a question asked beforehand, its evidence anywhere, and distractors that look like evidence.

60% of the items need one fact, 20% two, 20% have no answer; of the split `chains`, for training, 45% need two. Knows no file, no model
and no metric.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as from_number

from errors import InvalidValueError, UnknownNameError
from tasks.example import Example
from tasks.needle_words import RELATIONS, WORDS, Words
from tasks.needle_world import Clause, Dice, Fact, World

MANY_CHAINS = "chains"  # the words of the training split, and more questions that need two facts
SPLITS = (*WORDS, MANY_CHAINS)
MIN_WORDS, MAX_WORDS = 20, 200
UNKNOWN = "unknown"
# Below this many words the evidence of an item with an answer may stand without a rival: two would not fit.
RIVAL_FROM = 36

# (first relation, whether the question names its value instead of its subject, second relation): the first leads to the second's subject.
CHAINS = tuple(
    (first, by_value, second)
    for second, (asked_of, _) in RELATIONS.items()
    for first, (subject, value) in RELATIONS.items()
    for by_value in (False, True)
    if first != second and asked_of == (subject if by_value else value)
)


@dataclass(frozen=True)
class Shares:
    """Of all items, those that need one fact, and two; the others have no answer. `two_of_unknown`: of those, whose question needs two."""

    one: float
    two: float
    two_of_unknown: float


SHARES = {split: Shares(0.6, 0.2, 0.3) for split in WORDS} | {MANY_CHAINS: Shares(0.3, 0.45, 0.6)}


@dataclass(frozen=True)
class Needle:
    """An item with what is known of its making: how many `facts` its question needs, and the stated ones as `evidence` in the passage."""

    example: Example
    facts: int
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """A question and the facts that answer it; the last one's value is the answer."""

    question: str
    facts: tuple[Fact, ...]


def generate(split: str, count: int, seed: int = 0) -> list[Example]:
    """The first `count` items of `stream(split, seed)`.

    Raises UnknownNameError for another split than SPLITS, InvalidValueError for a count below 1.
    """
    if count < 1:
        raise InvalidValueError(f"expected at least 1 item; got {count}", param="data")
    words_of(split)
    return [make(split, seed, index).example for index in range(count)]


def stream(split: str, seed: int = 0) -> Iterator[Example]:
    """Endless items, each a function of split, seed and its index alone. Raises UnknownNameError for an unknown split."""
    words_of(split)
    return (make(split, seed, index).example for index in from_number())


def make(split: str, seed: int, index: int) -> Needle:
    """Item `needle:SPLIT:SEED:INDEX`. Its oracle is the number of words up to where the last fact that it needs is known, and all
    words where there is no answer. Raises UnknownNameError for an unknown split."""
    words = words_of(split)
    dice = Dice(f"needle:{split}:{seed}:{index}")
    world = World(dice, words)
    shares, kind = SHARES[split], dice.random()
    answerable = kind < shares.one + shares.two
    facts = 1 if kind < shares.one or (not answerable and not dice.chance(shares.two_of_unknown)) else 2
    asked = _ask_one(dice, words, world) if facts == 1 else _ask_two(dice, words, world)
    missing = None if answerable else dice.pick(asked.facts)
    source, ends, evidence = _passage(dice, words, _fill(dice, world, asked, missing))
    example = Example(
        id=f"needle:{split}:{seed}:{index}",
        source=source,
        references=(asked.facts[-1].value if answerable else UNKNOWN,),
        inputs={"question": asked.question},
        cluster=f"needle:{split}:{seed}:{index}",
        oracle=max(ends) if answerable else len(source.split()),
    )
    return Needle(example, facts, evidence)


def words_of(split: str) -> Words:
    """The words that items of a split are made of. Raises UnknownNameError for another split than SPLITS."""
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    return WORDS["train" if split == MANY_CHAINS else split]


def _ask_one(dice: Dice, words: Words, world: World) -> Asked:
    relation = dice.pick(tuple(RELATIONS))
    subject, value = (world.first(kind) for kind in RELATIONS[relation])
    return Asked(dice.pick(words.relations[relation].questions).replace("{s}", subject), (Fact(relation, subject, value),))


def _ask_two(dice: Dice, words: Words, world: World) -> Asked:
    """A question whose subject is described by another fact: where does the owner of the copper lantern live?"""
    first, by_value, second = dice.pick(CHAINS)
    subject, value = (world.first(kind) for kind in RELATIONS[first])
    phrasings = words.relations[first]
    description = dice.pick(phrasings.subject).replace("{v}", value) if by_value else dice.pick(phrasings.value).replace("{s}", subject)
    last = Fact(second, subject if by_value else value, world.first(RELATIONS[second][1]))
    question = dice.pick(words.relations[second].questions).replace("{s}", description)
    return Asked(question, (Fact(first, subject, value), last))


def _fill(dice: Dice, world: World, asked: Asked, missing: Fact | None) -> list[Clause]:
    """The passage's clauses in no order: evidence, distractors, neutral ones, up to a length drawn uniformly."""
    budget = MIN_WORDS + dice.below(MAX_WORDS - MIN_WORDS + 1)
    world.withhold(asked.facts)
    clauses = [world.state(fact, needed=True) for fact in asked.facts if fact != missing]
    if missing is not None:
        clauses += [world.rival(missing), world.sideline(missing)]
    elif budget >= RIVAL_FROM:
        clauses.append(world.rival(asked.facts[-1]))
    density = 0.3 + 0.6 * dice.random()
    # One word more than the clause has: a join may bring one.
    length = sum(clause.words + 1 for clause in clauses)
    while True:
        clause = world.distractor(asked.facts) if dice.chance(density) else world.neutral()
        if length + clause.words + 1 > budget and sum(each.words for each in clauses) >= MIN_WORDS:
            return clauses
        clauses.append(clause)
        length += clause.words + 1


def _passage(dice: Dice, words: Words, clauses: list[Clause]) -> tuple[str, list[int], tuple[str, ...]]:
    """The text of shuffled clauses, the number of words after which each needed fact is known, and the needed clauses."""
    text, ends, evidence = "", [], []
    joined = True  # what is joined is not joined again; the first clause has nothing to join
    for clause in dice.shuffled(clauses):
        joined = not joined and dice.chance(0.25)
        if text:
            text += dice.pick(words.joins) if joined else ". "
        shown = clause.text[0].lower() + clause.text[1:] if joined and not clause.begins_with_name else clause.text
        if clause.needed:
            ends.append(len((text + shown[: clause.known]).split()))
            evidence.append(shown)
        text += shown
    return text + ".", ends, tuple(evidence)
