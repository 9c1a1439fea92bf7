"""The tasks of a model folder that declares none: general prompts that any instruction-tuned model understands.

Their head is entropy: attention says little before (layer, head) pairs are selected for a checkpoint.
"""

from tasks.base import Input, Task

DEFAULT_TASKS: dict[str, Task] = {
    "translate": Task(
        prompt="Translate the following {source_language} text into {target_language}. Reply with the translation only.\n\n",
        inputs={
            "source_language": Input(description="language of the source", default="English"),
            "target_language": Input(description="language of the target", default="German"),
        },
        gate="word",
        forbid_end_before_source_end=True,
    ),
    "answer": Task(
        prompt="Read the passage and answer the question in a few words.\n\nQuestion: {question}\n\nPassage:\n",
        inputs={"question": Input(description="the question to answer from the passage")},
        max_output_tokens=64,
    ),
    "choose": Task(
        prompt="Read the story and choose the right answer. Reply with its letter only.\n\nQuestion: {question}\n{options}\n\nStory:\n",
        inputs={
            "question": Input(description="the question to answer from the story"),
            "options": Input(description="the answers to choose from, one a line, each after its letter"),
        },
        max_output_tokens=8,
    ),
    "summarise": Task(
        prompt="Summarise the following text in one or two sentences.\n\n",
        forbid_end_before_source_end=True,
        max_output_tokens=128,
    ),
    "repeat": Task(
        prompt="Repeat the following text exactly, word by word.\n\n",
        gate="word",
        forbid_end_before_source_end=True,
    ),
}
