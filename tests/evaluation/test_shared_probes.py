"""Shared probes against the engine: whatever is shared, every record is the one that the engine makes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.loading import Checkpoint
from errors import InvalidValueError
from evaluation.backends import OnEngine
from evaluation.policies import ALL_BASELINES, Policy, baselines
from evaluation.record import Record
from evaluation.shared_probes import OnSharedProbes
from tasks.example import Example
from tests import tiny
from tests.evaluation.test_drive import EXAMPLES, JOBS, near


def by_key(records: "list[Record]") -> dict[tuple[str, str], Record]:
    return {(record.policy, record.id): near(record) for record in records}


@pytest.mark.parametrize("task", ["echo", "words"])
def test_every_record_is_the_engines(task: str) -> None:
    """Over all heads and baselines, with the gate of tokens and with that of words."""
    more = [(Policy(name, value, params=params), example) for name, value, params in HEADS for example in EXAMPLES]
    jobs = [*JOBS, *more]
    shared = by_key(list(OnSharedProbes(tiny.checkpoint(), task, slots=3).run(jobs)))
    assert shared == by_key(list(OnEngine(tiny.checkpoint(), task, slots=4).run(jobs)))
    assert len({record.target for record in shared.values()}) > len(EXAMPLES)  # policies differ in what they write


HEADS = (
    ("entropy", 0.2, ()),
    ("entropy", 0.5, ()),
    ("attention", 0.02, ()),
    ("attention", 0.03, (("accumulate", True),)),
    ("attention", 0.5, (("score", "focus"),)),
    ("mass", 0.2, ()),
)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from(["the", "dog", "sat", "down", "!", "it?", "12", "naïve", "世界你好世界你好世"]), min_size=1, max_size=9),
    st.lists(st.floats(0, 1), min_size=1, max_size=5, unique=True),
)
def test_every_record_is_the_engines_on_any_source_at_any_thresholds(words: list[str], thresholds: list[float]) -> None:
    example = Example("e", " ".join(words), ("a",))
    jobs = [(Policy("entropy", round(threshold, 3)), example) for threshold in thresholds]
    jobs += [(policy, example) for policy in baselines(["full", "wait_k"], [example])]
    assert by_key(list(OnSharedProbes(tiny.checkpoint(), "echo").run(jobs))) == by_key(list(OnEngine(tiny.checkpoint(), "echo").run(jobs)))


def test_a_second_policy_costs_only_what_it_does_otherwise() -> None:
    class Counting:
        def __init__(self) -> None:
            self.rows = 0

        def __getattr__(self, name: str) -> object:
            return getattr(tiny.checkpoint().backbone, name)

        def forward(self, cache: object, runs: list[object], rows: list[object], **options: object) -> object:
            self.rows += len(rows)
            return tiny.checkpoint().backbone.forward(cache, runs, rows, **options)  # type: ignore[arg-type]  # handed through

    def rows(policies: list[Policy]) -> int:
        backbone = Counting()
        checkpoint = type(tiny.checkpoint())(**{**vars(tiny.checkpoint()), "backbone": backbone})
        list(OnSharedProbes(checkpoint, "echo").run([(policy, EXAMPLES[0]) for policy in policies]))
        return backbone.rows

    once = rows([Policy("full", 0.0)])
    assert rows([Policy("full", 0.0), Policy("wait_k", 1000.0), Policy("entropy", 1e9)]) == once
    assert once < rows([Policy("full", 0.0), Policy("wait_k", 1.0)]) < once + rows([Policy("wait_k", 1.0)])


def capped() -> Checkpoint:
    """With a task that caps its reads."""
    checkpoint = tiny.checkpoint()
    task = checkpoint.config.tasks["echo"].model_copy(update={"max_reads": 2})
    config = checkpoint.config.model_copy(update={"tasks": {**checkpoint.config.tasks, "echo": task}})
    return type(checkpoint)(**{**vars(checkpoint), "config": config})


def test_a_task_that_caps_its_reads_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="max_reads"):
        next(OnSharedProbes(capped(), "echo").run(JOBS[:1]))


def test_baselines_are_all_run() -> None:
    assert {record.curve for record in OnSharedProbes(tiny.checkpoint(), "echo").run(JOBS)} >= set(ALL_BASELINES)
