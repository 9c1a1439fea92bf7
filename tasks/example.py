"""One item of a data set, as evaluation and training read it. Knows no file format, no tokenizer and no model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Example:
    """A source with what is asked of it and what counts as right.

    id:         unique within its data set, and the same whenever that is read
    source:     the stream's text; empty where it is heard
    inputs:     the task's declared inputs, such as `question`
    references: acceptable targets, the first of them the main one; never empty
    cluster:    passage or document: items of one cluster are not independent, and are resampled together
    oracle:     words of the source after which the target is known (whitespace words); None where nobody knows
    prompt:     what stands in place of the task's own prompt; None: nothing does
    audio:      the recording that is the source, in place of text
    said:       what is said in the recording, where the references are something else; None: nobody knows, or they are it
    word_ends:  of the main reference's whitespace words, where each ends in the recording, in ms; empty where nobody knows
    """

    id: str
    source: str
    references: tuple[str, ...]
    inputs: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""
    oracle: int | None = None
    prompt: str | None = None
    audio: Path | None = None
    said: str | None = None
    word_ends: tuple[int, ...] = ()
