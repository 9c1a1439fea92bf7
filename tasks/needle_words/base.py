"""What a needle split's words are made of: kinds of names and values, relations between them, phrasings. Holds no phrasing itself."""

from collections.abc import Mapping
from dataclasses import dataclass

ENTITIES = ("person", "place", "item")
# relation -> (kind of its subject, kind of its value); a subject has at most one value in a passage, and a value one subject.
RELATIONS: dict[str, tuple[str, str]] = {
    "home": ("person", "place"),
    "childhood": ("person", "place"),
    "trade": ("person", "trade"),
    "birth": ("person", "year"),
    "arrival": ("person", "time"),
    "instrument": ("person", "instrument"),
    "teacher": ("person", "person"),
    "room": ("person", "room"),
    "owner": ("item", "person"),
    "maker": ("item", "person"),
    "store": ("item", "place"),
    "price": ("item", "price"),
    "found": ("item", "date"),
    "mayor": ("place", "person"),
    "market": ("place", "time"),
    "founded": ("place", "year"),
}


@dataclass(frozen=True)
class Form:
    """One way to compose a name: a part of each list, filled into the template. Names that differ in one part look alike."""

    template: str
    parts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Phrasings:
    """How a relation is spoken of; `{s}` stands for its subject, `{v}` for its value.

    statements: clauses; `|` marks where the fact is known, if that is before the clause's end
    questions:  ask for the value
    value:      noun phrases for the value, where it is a person or place
    subject:    noun phrases for the subject; an item's go without an article, because its questions have one
    """

    statements: tuple[str, ...]
    questions: tuple[str, ...]
    subject: tuple[str, ...]
    value: tuple[str, ...] = ()


@dataclass(frozen=True)
class Words:
    """All words of a split.

    names:     kind -> forms
    relations: relation -> phrasings
    mentions:  kind of entity -> clauses that name `{s}` and say nothing of it
    openers, bodies: an opener, a comma and a body are a neutral clause
    joins:     what may stand between two clauses of one sentence
    """

    names: Mapping[str, tuple[Form, ...]]
    relations: Mapping[str, Phrasings]
    mentions: Mapping[str, tuple[str, ...]]
    openers: tuple[str, ...]
    bodies: tuple[str, ...]
    joins: tuple[str, ...]


def split_names(
    *, first: str, surname: tuple[str, str, str], place: tuple[str, str, str], item: tuple[str, str]
) -> dict[str, tuple[Form, ...]]:
    """Names of people, places and items, from lists that are each a string of words; `-` is an empty part."""
    return {
        "person": (Form("{} {}{}{}", (_list(first), *map(_list, surname))),),
        "place": (Form("{}{}{}", tuple(map(_list, place))),),
        "item": (Form("{} {}", tuple(map(_list, item))),),
    }


def split_values(*, trades: str, instruments: str, coins: str) -> dict[str, tuple[Form, ...]]:
    """The other kinds. Years, times, rooms and dates are the same in every split: their words are few and closed.

    Digits differ in number from kind to kind, so that no value is a word of another's.
    """
    units = tuple("0123456789")
    tens = tuple("123456789")
    hours = _list("one two three four five six seven eight nine ten eleven twelve")
    minutes = ("five past", "ten past", "quarter past", "twenty past", "half past", "twenty to", "quarter to", "ten to", "five to")
    months = _list("January February March April May June July August September October November December")
    return {
        "trade": (Form("{}", (_list(trades),)),),
        "instrument": (Form("{}", (_list(instruments),)),),
        "price": (Form("{}{} {}", (tens, units, _list(coins))),),
        "year": (Form("{}{}", (tuple(str(decade) for decade in range(182, 200)), units)),),
        "time": (
            Form("{}:{}", (tuple(str(hour) for hour in range(1, 13)), tuple(f"{minute:02}" for minute in range(0, 60, 5)))),
            Form("{} {}", (minutes, hours)),
        ),
        "room": (Form("{}{}{}", (tens, units, units)),),
        "date": (Form("{} {}", (tuple(str(day) for day in range(1, 29)), months)),),
    }


def _list(words: str) -> tuple[str, ...]:
    return tuple(word.strip("-") for word in words.split())
