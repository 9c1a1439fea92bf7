"""The default task for multiple choice."""

import pytest

from errors import MissingInputError
from tasks import DEFAULT_TASKS


def test_choose_shows_question_and_options_before_the_story() -> None:
    prompt = DEFAULT_TASKS["choose"].render({"question": "Who?", "options": "A) Ann\nB) Bob"})
    assert prompt.index("letter") < prompt.index("Who?") < prompt.index("A) Ann\nB) Bob") < prompt.index("Story:")
    assert DEFAULT_TASKS["choose"].max_output_tokens <= 8
    with pytest.raises(MissingInputError, match=r"inputs\.options"):
        DEFAULT_TASKS["choose"].render({"question": "Who?"})
