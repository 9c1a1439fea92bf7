"""What a task is: a prompt with declared inputs, and flags for the controller. Knows no tokenizer, model or threshold."""

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from errors import MissingInputError, UnknownNameError

PLACEHOLDER = re.compile(r"\{(\w+)\}")
RCO_TARGETS = {"low": 0.65, "medium": 0.80, "high": 0.92}


class Input(BaseModel):
    """A text that a session gives at its start, such as `question`. Without a default it is required."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    description: str = ""
    default: str | None = None


class Task(BaseModel):
    """One entry of `tasks` in proactivellm.json.

    prompt:   text before the stream; `{name}` stands for an input
    gate:     `token` asks the head for every token, `word` only for tokens that begin a word
    forbid_end_before_source_end: a model that wants to stop early reads on instead (translation)
    max_reads, max_writes_per_read: caps on READs in a row and on tokens a read may release; off by default
    max_output_rate: target tokens for each word of source, or second of what is heard, beyond the first 16, since the last
              seam. A session that has as many reads on, and with one more behind the source's end it ends with `length`. Off by default
    ctc_weight: share of CTC in a token's log-probability (backbones/ctc_prefix.py), where the target is what is said in a source that is
              heard; 0.3 is usual. For an encoder that was trained with CTC, the end token its blank
    tier_targets: tier -> mean RCO that calibration aims at
    rollover: whether a session may outlast its slot. Default: yes for a task with gate `word` that may not end early, whose target goes on
              as long as its source (translation, repetition, transcription); an answer or a summary of half a source is none
    rollover_tokens: of stream and target together, that such a session uses of its slot, where that has more: what the model was trained on
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    prompt: str
    inputs: dict[str, Input] = Field(default_factory=dict)
    default_head: str = "entropy"
    default_tier: str = "medium"
    gate: Literal["token", "word"] = "token"
    forbid_end_before_source_end: bool = False
    max_output_tokens: int = Field(default=256, ge=1)
    max_reads: int | None = Field(default=None, ge=1)
    max_writes_per_read: int | None = Field(default=None, ge=1)
    max_output_rate: float | None = Field(default=None, gt=0)
    ctc_weight: float = Field(default=0.0, ge=0, lt=1)
    tier_targets: dict[str, float] = Field(default_factory=lambda: dict(RCO_TARGETS))
    rollover: bool | None = None
    rollover_tokens: int | None = Field(default=None, ge=32)

    @model_validator(mode="after")
    def _placeholders_are_declared(self) -> "Task":
        for name in PLACEHOLDER.findall(self.prompt):
            if name not in self.inputs:
                raise ValueError(f"expected the prompt to use declared inputs ({', '.join(self.inputs) or 'none'}); got {{{name}}}")
        return self

    @model_validator(mode="after")
    def _silence_is_no_end(self) -> "Task":
        if self.ctc_weight and not self.forbid_end_before_source_end:
            raise ValueError("expected forbid_end_before_source_end with ctc_weight: CTC takes a pause for the end; got false")
        return self

    @property
    def may_roll_over(self) -> bool:
        """`rollover`, or what stands for it."""
        return self.gate == "word" and self.forbid_end_before_source_end if self.rollover is None else self.rollover

    def render(self, inputs: Mapping[str, str], instruction: str | None = None) -> str:
        """The prompt with its inputs filled in; `instruction` replaces the task's own text.

        Raises UnknownNameError for an input that the task does not declare, MissingInputError for one without a value.
        """
        for name in inputs:
            if name not in self.inputs:
                raise UnknownNameError("input", name, self.inputs, param=f"inputs.{name}")
        values: dict[str, str] = {}
        for name, declared in self.inputs.items():
            value = inputs.get(name, declared.default)
            if value is None:
                wanted = declared.description or "required"
                raise MissingInputError(f"expected inputs.{name} ({wanted}); got none", param=f"inputs.{name}")
            values[name] = value
        # Not str.format: an input or instruction from the wire must never reach attributes or indices of ours.
        return PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), instruction if instruction is not None else self.prompt)
