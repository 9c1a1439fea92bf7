"""Splits a chat template around the stream: `prefix + SOURCE + source_end` and `header + TARGET + end`.

Asks the tokenizer's own template and holds no model's strings. Knows nothing of positions or slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backbones.checkpoint import Template
from errors import CheckpointError

# Letters only, so that no template trims or escapes them, and nobody's prompt contains them.
_PROMPT, _TARGET = "QZXPROMPTXZQ", "QZXTARGETXZQ"


@dataclass(frozen=True)
class Frame:
    """Token ids around a session's prompt, source and target. `header` is never empty: its last row is the first probe."""

    before: tuple[int, ...]
    source_end: tuple[int, ...]
    header: tuple[int, ...]
    end: frozenset[int]


def split(tokenizer: Any, system: str | None = None, template: Template | None = None) -> Frame:
    """The frame of a tokenizer: from its chat template, or from `template` where that is given or where it has none.

    Raises CheckpointError where a chat template does not show where the user's text goes or how a reply begins.
    """
    text = template if template or not tokenizer.chat_template else _from_chat_template(tokenizer, system)
    text = text or Template(before=tokenizer.bos_token or "")
    end = text.end if text.end is not None else tokenizer.eos_token
    if not end:
        raise CheckpointError("expected an end token: neither the template nor the tokenizer names one")
    source_end, header, ends = _ids(tokenizer, text.source_end), _ids(tokenizer, text.header), _ids(tokenizer, end)
    if not header and template is None:
        # Nothing opens a reply in this template: its first token follows the last one behind the user's text.
        source_end, header = source_end[:-1], source_end[-1:]
    if not header:
        raise CheckpointError("expected a header of at least one token before the target, got an empty one", param="template.header")
    return Frame(
        before=_ids(tokenizer, text.before),
        source_end=source_end,
        header=header,
        end=frozenset({ends[0], *_end_ids(tokenizer)}),
    )


def end_token(ends: frozenset[int], eos: int | None) -> int:
    """The token that a target is trained to end with: the template's own, which may be another than the tokenizer's."""
    return next(iter(ends - {eos}), next(iter(ends)))


def _from_chat_template(tokenizer: Any, system: str | None) -> Template:
    opening = [{"role": "system", "content": system}] if system else []
    asked: Sequence[dict[str, str]] = [*opening, {"role": "user", "content": _PROMPT}]
    plain = tokenizer.apply_chat_template(asked, tokenize=False)
    opened = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    replied = tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": _TARGET}], tokenize=False)
    in_order = opened.startswith(plain) and (opened != plain or replied.startswith(plain))
    if plain.count(_PROMPT) != 1 or not in_order or replied.count(_TARGET) != 1:
        raise CheckpointError(
            "expected a chat template that renders user, generation prompt and reply one after the other; give `template`"
        )
    before, source_end = plain.split(_PROMPT)
    beginning, end = replied.split(_TARGET)
    # Blanks around a reply are part of its own first token, and no end.
    header = opened[len(plain) :] or beginning[len(plain) :].rstrip(" ")
    return Template(before=before, source_end=source_end, header=header, end=end.lstrip() or None)


def _ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def _end_ids(tokenizer: Any) -> set[int]:
    return {tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set()
