"""Extractive QA data in SQuAD v1.1's JSON: a passage, questions, answers that are spans of it. Knows no model and no metric."""

from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from errors import InvalidValueError
from tasks.example import Example
from tasks.files import reason, text


class Answer(BaseModel):
    """`answer_start` counts characters of the context."""

    text: str
    answer_start: int | None = Field(default=None, ge=0)


class Question(BaseModel):
    """A question with the answers of several annotators."""

    id: str
    question: str
    answers: list[Answer]


class Paragraph(BaseModel):
    """A passage with its questions."""

    context: str = Field(min_length=1)
    qas: list[Question]


class Article(BaseModel):
    """A document of several passages."""

    title: str
    paragraphs: list[Paragraph]


class Squad(BaseModel):
    """The whole file."""

    data: list[Article]


def read(path: Path) -> list[Example]:
    """One Example a question, plain or gzip JSON; its cluster is the passage, `TITLE:INDEX`.

    oracle: words up to the end of the annotated answer that ends first; None if no answer says where it starts.
    Raises InvalidValueError for another format, for a question without answers (SQuAD 2's), for a span that is not the answer.
    """
    try:
        squad = Squad.model_validate_json(text(path))
    except ValidationError as error:
        raise InvalidValueError(f"{path}: expected SQuAD v1.1 JSON; got {reason(error)}") from error
    return [
        _example(path, paragraph.context, question, f"{article.title}:{index}")
        for article in squad.data
        for index, paragraph in enumerate(article.paragraphs)
        for question in paragraph.qas
    ]


def _example(path: Path, context: str, question: Question, cluster: str) -> Example:
    references = tuple(dict.fromkeys(answer.text.strip() for answer in question.answers if answer.text.strip()))
    if not references:
        raise InvalidValueError(f"{path}, question {question.id}: expected an answer; got none")
    ends = [end for answer in question.answers if (end := _end(path, context, question.id, answer)) is not None]
    return Example(
        id=question.id,
        source=context,
        inputs={"question": question.question.strip()},
        references=references,
        cluster=cluster,
        oracle=len(context[: min(ends)].split()) if ends else None,
    )


def _end(path: Path, context: str, question: str, answer: Answer) -> int | None:
    """Characters of the context up to the answer's end."""
    if answer.answer_start is None or not answer.text.strip():
        return None
    end = answer.answer_start + len(answer.text)
    if context[answer.answer_start : end] != answer.text:
        raise InvalidValueError(
            f"{path}, question {question}: expected {answer.text!r} at character {answer.answer_start} of its passage; "
            f"got {context[answer.answer_start : end]!r}"
        )
    return end
