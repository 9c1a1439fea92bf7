"""Recordings are evaluated by the real engine: delays in ms of audio, words with their lag, the report's numbers."""

import asyncio
import math
from typing import Any

import numpy as np
import pytest
import soundfile

from errors import InvalidValueError
from evaluation import drive, over_server, probing, signal_test
from evaluation.policies import Policy, baselines, source_units
from evaluation.store import Run
from evaluation.summary import summarise
from tasks import metrics_of
from tasks.example import Example
from tests import tiny


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    folder = tmp_path_factory.mktemp("heard")
    found = []
    for number, samples in enumerate((16_000, 23_456, 3_000)):
        path = folder / f"{number}.wav"
        soundfile.write(path, 0.1 * np.random.default_rng(number).standard_normal(samples), 16_000, subtype="PCM_16")
        found.append(Example(f"{number}", "", ("one two",), cluster=f"{number}", audio=path, word_ends=(100, 150)))
    return found


def test_a_recording_runs_through_the_engine_and_its_delays_are_in_ms(examples: list[Example]) -> None:
    engine = drive.fitting_engine(tiny.hearing(), "listen", examples, slots=2, max_output_tokens=8)
    policies = [Policy("full", 0.0), Policy("wait_k", 1.0)]
    records = list(drive.run(engine, "listen", [(policy, example) for policy in policies for example in examples], max_output_tokens=8))
    assert {(record.policy, record.id) for record in records} == {(policy.label, example.id) for policy in policies for example in examples}
    by_key = {(record.curve, record.id): record for record in records}
    assert by_key["full", "1"].source_length == 1466
    assert set(by_key["full", "1"].delays) == {1466}
    early = by_key["wait_k", "1"].delays
    assert early[0] == 413  # the tenth token waits for sample 640 x 9 + 839
    assert list(early) == sorted(early)
    assert all(len(record.word_writes) == len(record.target.split()) for record in records)
    assert all(record.error is None for record in records)
    run = Run(model="tiny", model_hash=None, task="transcribe", data="d", data_hash="h")
    summary = summarise(run, records, metrics_of("transcribe", "jsonl"), resamples=50, date="2026-01-01")
    figures = {policy.curve: policy.figures for policy in summary.policies}
    assert figures["full"]["words"]["RCO"].value == 1.0
    assert figures["wait_k"]["words"]["RCO"].value < 1.0
    assert set(figures["full"]["quality"]) == {"wer_words", "wer"}
    assert set(figures["full"]["word_ends"]) == {"lag_mean", "lag_p50", "lag_p95"}


def test_baselines_know_how_long_a_recording_is(examples: list[Example]) -> None:
    assert [source_units(example) for example in examples] == [25, 36, 4]
    assert max(policy.threshold or 0 for policy in baselines(["wait_k"], examples)) == 30
    request = Policy("fixed_fraction", 0.5).request("listen", examples[0])
    assert request.head_params == {"source_length": 25}
    assert request.audio is not None


@pytest.mark.parametrize("way", [{}, {"posteriors": True, "blank": tiny.BLANK}])
def test_every_probe_of_a_recording_is_what_a_session_sees_at_its_decision_points(examples: list[Example], way: dict[str, Any]) -> None:
    """A head that never reaches its threshold is asked at every step but the last: its scores are those of each prefix's first token."""
    checkpoint = tiny.hearing(**way)
    found = [seen for item in probing.probe_items(checkpoint, checkpoint.backbone, "listen", examples, probing.Limits()) for seen in item]
    assert {(seen.item, seen.phi) for seen in found} == {(0, 10), (0, 20), (0, 25), (1, 10), (1, 20), (1, 30), (1, 37), (2, 5)}
    assert all(seen.attention.shape == (seen.phi,) for seen in found)
    engine = drive.fitting_engine(checkpoint, "listen", examples, slots=1, max_output_tokens=8)
    records = {record.id: record for record in drive.run(engine, "listen", [(Policy("entropy", 2.0), example) for example in examples])}
    for number, example in enumerate(examples):
        scores = [score for _, index, score, _ in records[example.id].decisions if index == 0 and score is not None]
        firsts = [seen for seen in found if (seen.item, seen.index) == (number, 0)]
        assert [1 - seen.entropy / math.log(checkpoint.backbone.vocab_size) for seen in firsts][: len(scores)] == pytest.approx(
            scores, abs=1e-4
        )


def test_attention_heads_are_selected_on_recordings(examples: list[Example]) -> None:
    pairs = signal_test.select_pairs(tiny.hearing(), "listen", examples, probing.Limits(), count=3)
    assert len({pair for pair, _ in pairs}) == 3
    assert [area for _, area in pairs] == sorted((area for _, area in pairs), reverse=True)


async def _over_server(example: Example) -> None:
    async for _ in over_server.run("ws://127.0.0.1:9", "listen", [(Policy("full", 0.0), example)], model=None, at_once=1):
        pass


def test_a_server_is_sent_no_recording(examples: list[Example]) -> None:
    with pytest.raises(InvalidValueError, match="item '0': expected text, over a server; got a recording"):
        asyncio.run(_over_server(examples[0]))
