"""Prompts with declared inputs: filled in once, never formatted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from errors import MissingInputError, UnknownNameError
from tasks import DEFAULT_TASKS, Input, Task

ASK = Task(prompt="Q: {question} in {language}\n", inputs={"question": Input(), "language": Input(default="English")})


def test_inputs_and_defaults_are_filled_in() -> None:
    assert ASK.render({"question": "who?"}) == "Q: who? in English\n"
    assert ASK.render({"question": "who?", "language": "German"}) == "Q: who? in German\n"


@given(st.text())
def test_an_input_arrives_as_it_is(text: str) -> None:
    """Braces, format fields and placeholders of other inputs in it included."""
    assert ASK.render({"question": text}) == f"Q: {text} in English\n"


def test_format_fields_are_text() -> None:
    assert ASK.render({"question": "{0.__class__} {language}"}) == "Q: {0.__class__} {language} in English\n"


def test_an_instruction_may_use_the_inputs_and_keeps_other_braces() -> None:
    assert ASK.render({"question": "who"}, instruction="{question} {json}") == "who {json}"


def test_an_empty_input_is_an_input() -> None:
    assert ASK.render({"question": ""}) == "Q:  in English\n"


def test_an_undeclared_input_is_refused_with_the_list() -> None:
    with pytest.raises(UnknownNameError, match="language, question") as refused:
        ASK.render({"question": "who", "lang": "de"})
    assert refused.value.param == "inputs.lang"


def test_a_missing_input_is_named() -> None:
    with pytest.raises(MissingInputError, match=r"inputs\.question"):
        ASK.render({})


def test_a_prompt_may_only_use_declared_inputs() -> None:
    with pytest.raises(ValidationError, match="declared inputs"):
        Task(prompt="{who}")


def test_ctc_is_weighed_where_a_pause_is_no_end() -> None:
    with pytest.raises(ValidationError, match="expected forbid_end_before_source_end with ctc_weight"):
        Task(prompt="", ctc_weight=0.3)
    assert Task(prompt="", ctc_weight=0.3, forbid_end_before_source_end=True).ctc_weight == 0.3


def test_a_task_whose_target_goes_on_with_its_source_may_outlast_a_slot() -> None:
    assert {name for name, task in DEFAULT_TASKS.items() if task.may_roll_over} == {"translate", "repeat"}
    assert Task(prompt="", rollover=True).may_roll_over
    assert not DEFAULT_TASKS["translate"].model_copy(update={"rollover": False}).may_roll_over


def test_the_default_tasks_render() -> None:
    given_inputs = {"answer": {"question": "Why?"}, "choose": {"question": "Who?", "options": "A) Ann\nB) Bob"}}
    for name, task in DEFAULT_TASKS.items():
        assert "{" not in task.render(given_inputs.get(name, {}))
    assert DEFAULT_TASKS["translate"].forbid_end_before_source_end
