"""Prompts split around the stream from the tokenizer's own chat template."""

from typing import Any

import pytest

from backbones.checkpoint import Template
from backbones.template import split
from errors import CheckpointError
from tests.backbones import tokenizers
from tests.tiny import CHATML

LLAMA2 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] | trim }} [/INST]"
    "{% else %} {{ m['content'] | trim }}<|endoftext|>{% endif %}{% endfor %}{% if add_generation_prompt %} ANSWER:{% endif %}"
)


def tokenizer(template: str | None, eos: str | None = "<|im_end|>") -> Any:
    made = tokenizers.fast(tokenizers.qwen2())
    made.chat_template = template
    if eos:
        made.eos_token = eos
    return made


def test_chatml_is_split_into_its_four_parts() -> None:
    known = tokenizer(CHATML)
    frame = split(known, system="Be brief.")
    assert known.decode(frame.before) == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n"
    assert known.decode(frame.source_end) == "<|im_end|>\n"
    assert known.decode(frame.header) == "<|im_start|>assistant\n"
    assert frame.end == {known.convert_tokens_to_ids("<|im_end|>")}


def test_the_parts_joined_are_the_chat_templates_own_text() -> None:
    known = tokenizer(CHATML)
    frame = split(known)
    whole = known.apply_chat_template([{"role": "user", "content": "dogs"}], tokenize=False, add_generation_prompt=True)
    body = known("dogs", add_special_tokens=False)["input_ids"]
    assert known.decode([*frame.before, *body, *frame.source_end, *frame.header]) == whole


def test_another_familys_template_needs_no_code() -> None:
    known = tokenizer(LLAMA2, eos="<|endoftext|>")
    frame = split(known)
    assert known.decode(frame.before) == "[INST] "
    assert known.decode(frame.source_end) == " [/INST]"
    assert known.decode(frame.header) == " ANSWER:"
    assert frame.end == {known.convert_tokens_to_ids("<|endoftext|>")}


def test_a_tokenizer_without_a_template_gets_a_plain_frame_and_no_bos_of_its_own() -> None:
    known = tokenizer(None)
    frame = split(known)
    assert frame.before == ()
    assert known.decode(frame.source_end) == "\n"
    assert known.decode(frame.header) == "\n"


def test_a_checkpoints_template_wins() -> None:
    known = tokenizer(CHATML)
    frame = split(known, template=Template(before="Q: ", source_end="\nA:", header=" ", end="<|endoftext|>"))
    assert known.decode(frame.before) == "Q: "
    assert known.convert_tokens_to_ids("<|endoftext|>") in frame.end


@pytest.mark.parametrize(
    ("template", "eos", "why"),
    [
        ("{% for m in messages %}{{ m['content'] | upper | lower }}{% endfor %}", "<|im_end|>", "renders user"),
        (CHATML.replace("{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}", ""), "<|im_end|>", "at least one token"),
        (None, None, "end token"),
    ],
    ids=["text is changed", "no header", "no end"],
)
def test_what_cannot_be_split_is_refused_with_a_reason(template: str | None, eos: str | None, why: str) -> None:
    with pytest.raises(CheckpointError, match=why):
        split(tokenizer(template, eos))
