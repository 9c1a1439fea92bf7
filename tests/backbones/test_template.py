"""Prompts split around the stream from the tokenizer's own chat template."""

from typing import Any

import pytest

from backbones.checkpoint import Template
from backbones.template import split
from errors import CheckpointError
from tests.backbones import tokenizers
from tests.tiny import CHATML

LLAMA2 = (  # the real one: no generation prompt, and blanks around a reply
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
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


def test_a_template_that_opens_no_reply_gives_its_last_token_as_the_header_and_no_blank_as_an_end() -> None:
    known = tokenizer(LLAMA2, eos="<|endoftext|>")
    known.bos_token = "<|im_start|>"  # noqa: S105 (a token of text)
    frame = split(known, system="Be brief.")
    assert known.decode(frame.before) == "<|im_start|>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n"
    assert known.decode([*frame.source_end, *frame.header]) == " [/INST]"
    assert len(frame.header) == 1
    assert frame.end == {known.convert_tokens_to_ids("<|endoftext|>")}


def test_a_reply_is_opened_by_what_stands_before_it_where_there_is_no_generation_prompt() -> None:
    known = tokenizer(CHATML.replace("{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}", ""))
    assert split(known) == split(tokenizer(CHATML))


def test_a_line_break_before_the_end_token_is_no_end() -> None:
    known = tokenizer(CHATML.replace("}}<|im_end|>", "}}\n<|im_end|>"))
    assert split(known).end == {known.convert_tokens_to_ids("<|im_end|>")}


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
        ("{% for m in messages %}{{ m['content'] }}{% endfor %}", "<|im_end|>", "at least one token"),
        (None, None, "end token"),
    ],
    ids=["text is changed", "no header", "no end"],
)
def test_what_cannot_be_split_is_refused_with_a_reason(template: str | None, eos: str | None, why: str) -> None:
    with pytest.raises(CheckpointError, match=why):
        split(tokenizer(template, eos))
