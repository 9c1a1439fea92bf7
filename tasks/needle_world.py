"""What one needle passage says: facts, names that are given once, near-identical names. Knows no question and no order."""

from dataclasses import dataclass
from random import Random
from typing import TypeVar

from tasks.needle_words import RELATIONS, Form, Words

T = TypeVar("T")
TRIES = 30


class Dice:
    """Choices that are the same in every process and Python version: of `random`, only seeding by text and random() are promised to be."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)  # noqa: S311 (data, no secret)

    def random(self) -> float:
        """Uniform in [0, 1)."""
        return self._random.random()

    def below(self, bound: int) -> int:
        """Uniform in 0 .. bound - 1."""
        return int(self.random() * bound)

    def chance(self, probability: float) -> bool:
        """True that often."""
        return self.random() < probability

    def pick(self, options: tuple[T, ...]) -> T:
        """One of them."""
        return options[self.below(len(options))]

    def shuffled(self, items: list[T]) -> list[T]:
        """All of them, every order equally likely."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in items]


@dataclass(frozen=True)
class Fact:
    """`value` is what `relation` gives for `subject`."""

    relation: str
    subject: str
    value: str


@dataclass(frozen=True)
class Clause:
    """text: without its full stop; known: characters of it after which its fact is known; needed: it is evidence."""

    text: str
    known: int
    needed: bool = False
    begins_with_name: bool = False

    @property
    def words(self) -> int:
        """Whitespace words."""
        return len(self.text.split())


class World:
    """Facts stated so far. A name is given to one thing only, a subject has one value, and a value one subject in each relation."""

    def __init__(self, dice: Dice, words: Words) -> None:
        self._dice = dice
        self._words = words
        self._names: dict[str, tuple[str, Form, tuple[str, ...]]] = {}  # name -> kind, form, parts
        self._stated: set[tuple[str, str]] = set()  # relation, subject
        self._said: set[str] = set()
        self._answer: str | None = None

    def first(self, kind: str) -> str:
        """A name for the question. There are many more of every kind than a question needs."""
        name = self._fresh(kind)
        assert name is not None
        return name

    def withhold(self, facts: tuple[Fact, ...]) -> None:
        """No distractor may speak of these relations of these subjects, whether they are stated or missing, nor of the answer."""
        self._stated |= {(fact.relation, fact.subject) for fact in facts}
        self._answer = facts[-1].value

    def state(self, fact: Fact, *, needed: bool = False) -> Clause:
        """The fact in one of its phrasings."""
        self._stated.add((fact.relation, fact.subject))
        template = self._dice.pick(self._words.relations[fact.relation].statements)
        before, _, after = (part.replace("{s}", fact.subject).replace("{v}", fact.value) for part in template.partition("|"))
        return Clause(before + after, len(before), needed, begins_with_name=template.startswith("{"))

    def rival(self, fact: Fact) -> Clause:
        """The same relation of another subject: one with a similar name, one that was named already, or a new one."""
        kind, value_kind = RELATIONS[fact.relation]
        how = self._dice.random()
        named = tuple(
            name
            for name, (of, _, _) in self._names.items()
            if of == kind and name != self._answer and (fact.relation, name) not in self._stated
        )
        if how < 0.2 and named:
            subject: str | None = self._dice.pick(named)
        else:
            subject = self._near(fact.subject) if how < 0.7 else self._fresh(kind)
        value = self._near(fact.value) if self._dice.chance(0.5) else self._fresh(value_kind)
        return self._distract(fact.relation, subject, value)

    def sideline(self, fact: Fact) -> Clause:
        """Another relation of the same subject."""
        kind = RELATIONS[fact.relation][0]
        free = tuple(name for name, (of, _) in RELATIONS.items() if of == kind and (name, fact.subject) not in self._stated)
        if not free:
            return self.neutral()
        # As often as there is one, a relation whose value is of the same kind: where somebody lives, and where the same person grew up.
        alike = tuple(name for name in free if RELATIONS[name][1] == RELATIONS[fact.relation][1])
        relation = self._dice.pick(alike if alike and self._dice.chance(0.5) else free)
        return self._distract(relation, fact.subject, self._fresh(RELATIONS[relation][1]))

    def distractor(self, facts: tuple[Fact, ...]) -> Clause:
        """A clause that looks like evidence for one of the facts, or states another."""
        fact = self._dice.pick(facts)
        how = self._dice.random()
        if how < 0.4:
            return self.rival(fact)
        if how < 0.65:
            return self.sideline(fact)
        if how < 0.75:
            return self._mention(fact.subject)
        relation = self._dice.pick(tuple(RELATIONS))
        kind, value_kind = RELATIONS[relation]
        return self._distract(relation, self._fresh(kind), self._fresh(value_kind))

    def neutral(self) -> Clause:
        """A clause without names and facts."""
        body = self._unsaid(self._words.bodies)
        opened = self._dice.chance(0.6)
        text = f"{self._unsaid(self._words.openers)}, {body}" if opened else body[0].upper() + body[1:]
        return Clause(text, len(text))

    def _mention(self, name: str) -> Clause:
        template = self._unsaid(self._words.mentions[self._names[name][0]])
        text = template.replace("{s}", name)
        return Clause(text, len(text), begins_with_name=template.startswith("{"))

    def _unsaid(self, phrases: tuple[str, ...]) -> str:
        """One that the passage does not have yet; any, once it has all."""
        phrase = self._dice.pick(tuple(phrase for phrase in phrases if phrase not in self._said) or phrases)
        self._said.add(phrase)
        return phrase

    def _distract(self, relation: str, subject: str | None, value: str | None) -> Clause:
        if subject is None or value is None:
            return self.neutral()
        return self.state(Fact(relation, subject, value))

    def _fresh(self, kind: str) -> str | None:
        """A name that nothing has yet; None where a short list of them is used up."""
        for _ in range(TRIES):
            form = self._dice.pick(self._words.names[kind])
            name = self._take(kind, form, tuple(self._dice.pick(part) for part in form.parts))
            if name is not None:
                return name
        return None

    def _near(self, name: str) -> str | None:
        """A new name that differs from this one in one part."""
        kind, form, parts = self._names[name]
        for _ in range(TRIES):
            place = self._dice.below(len(parts))
            changed = (*parts[:place], self._dice.pick(form.parts[place]), *parts[place + 1 :])
            if (near := self._take(kind, form, changed)) is not None:
                return near
        return None

    def _take(self, kind: str, form: Form, parts: tuple[str, ...]) -> str | None:
        name = form.template.format(*parts)
        if name in self._names:
            return None
        self._names[name] = (kind, form, parts)
        return name
