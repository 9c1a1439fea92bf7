"""Every name in a request is checked against the checkpoint, and refused with the list of what exists."""

from dataclasses import replace

import pytest

from engine.request import Request, resolve, threshold
from errors import InvalidValueError, MissingInputError, ProactiveError, UnknownNameError
from tasks.base import Task
from tests import tiny

CHECKPOINT = tiny.checkpoint()


def test_what_a_request_leaves_out_comes_from_the_task() -> None:
    settings = resolve(CHECKPOINT, Request("words"))
    assert (settings.head_name, settings.threshold) == ("wait_k", 3.0)
    assert (settings.rules.gate, settings.rules.forbid_end_before_source_end) == ("word", True)
    assert settings.rules.max_output_tokens == 12


def test_a_rate_of_output_is_a_word_or_a_second_of_what_is_heard() -> None:
    hearing = tiny.hearing()
    tasks = {"quick": Task(prompt="", max_output_rate=12)}
    checkpoint = replace(hearing, config=hearing.config.model_copy(update={"tasks": tasks}))
    assert resolve(checkpoint, Request("quick")).rules.max_output_rate == 12
    assert resolve(checkpoint, Request("quick", audio=tiny.AUDIO)).rules.max_output_rate == 0.012
    assert resolve(hearing, Request("listen", audio=tiny.AUDIO)).rules.max_output_rate is None


def test_a_tier_is_the_checkpoints_threshold_for_task_and_head() -> None:
    assert resolve(CHECKPOINT, Request("echo", tier="low")).threshold == 0.1
    assert resolve(CHECKPOINT, Request("echo", tier="high")).threshold == 0.9


def test_without_a_tier_the_heads_own_default_holds() -> None:
    assert resolve(CHECKPOINT, Request("echo")).threshold == 0.8  # the default tier `medium` is not there
    assert resolve(CHECKPOINT, Request("echo", head="mass")).threshold == 0.2


def test_the_prompt_is_framed_and_its_inputs_filled_in() -> None:
    prefix = resolve(CHECKPOINT, Request("ask", inputs={"question": "Where is {question}?"})).prefix
    text = CHECKPOINT.tokenizer.decode(prefix)
    assert text == "<|im_start|>user\nWhere is {question}?\n"  # an input is filled in once, never again


def test_an_instruction_replaces_the_tasks_prompt() -> None:
    request = Request("ask", inputs={"question": "who"}, instruction="Tell me {question}: ")
    assert CHECKPOINT.tokenizer.decode(resolve(CHECKPOINT, request).prefix) == "<|im_start|>user\nTell me who: "


def test_special_tokens_in_an_input_stay_plain_text() -> None:
    request = Request("ask", inputs={"question": "<|im_end|>"})
    end = CHECKPOINT.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end not in resolve(CHECKPOINT, request).prefix


@pytest.mark.parametrize(
    ("request_", "error", "code", "listed"),
    [
        (Request("sing"), UnknownNameError, "unknown_task", "ask, echo, words"),
        (Request("echo", head="oracle"), UnknownNameError, "unknown_head", "entropy"),
        (Request("echo", tier="fastest"), UnknownNameError, "unknown_tier", "high, low"),
        (Request("echo", head="mass", tier="low"), UnknownNameError, "unknown_tier", "no tier, as head 'mass' has none for task 'echo'"),
        (Request("echo", inputs={"question": "x"}), UnknownNameError, "unknown_input", "no input, as there are none"),
        (Request("ask"), MissingInputError, "missing_input", "the question"),
        (Request("echo", head="entropy", head_params={"k": 1}), UnknownNameError, "unknown_head_parameter", "no head parameter, as head"),
        (Request("echo", head=""), UnknownNameError, "unknown_head", "entropy"),
        (Request("echo", tier="low", threshold=0.5), InvalidValueError, "invalid_value", "got both"),
    ],
)
def test_what_does_not_exist_is_refused(request_: Request, error: type[ProactiveError], code: str, listed: str) -> None:
    with pytest.raises(error, match=listed) as refused:
        resolve(CHECKPOINT, request_)
    assert refused.value.code == code


def test_a_running_session_may_change_tier_or_threshold_of_its_own_head() -> None:
    settings = resolve(CHECKPOINT, Request("echo"))
    assert threshold(CHECKPOINT, settings, tier="low", value=None) == 0.1
    assert threshold(CHECKPOINT, settings, tier=None, value=0.25) == 0.25
    with pytest.raises(UnknownNameError, match="high, low"):
        threshold(CHECKPOINT, settings, tier="medium", value=None)


@pytest.mark.parametrize(
    "request_",
    [
        Request("x" * 60_000),
        Request("echo", head="x" * 60_000),
        Request("echo", tier="x" * 60_000),
        Request("echo", inputs={"x" * 60_000: ""}),
        Request("echo", head="mass", head_params={"x" * 60_000: 1}),
    ],
)
def test_what_a_client_wrote_comes_back_cut(request_: Request) -> None:
    with pytest.raises(UnknownNameError) as refused:
        resolve(CHECKPOINT, request_)
    assert len(refused.value.message) < 600
    assert len(refused.value.param or "") < 420
