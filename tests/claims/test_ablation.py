"""The ablation: variants differ in loss or budget alone, finished runs are skipped, and results are what H4 reads."""

from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState

from claims import ablation, h4
from claims.parts import Part
from claims.results import read_all
from claims.variants import RECIPES, VARIANTS, configuration
from evaluation.progress import Progress
from tests.training.test_trainer import SIZES, TASK, TEMPLATE
from training.run import train

SILENT = Progress(lambda *_: None, lambda: None)


@pytest.mark.parametrize("task", RECIPES)
def test_variants_differ_in_loss_or_budget_alone(task: str) -> None:
    made = {name: configuration(task, name, 1, RECIPES[task], Path("d"), Path("o")) for name in VARIANTS}
    both = made.pop("both")
    assert (both.loss.batch, both.loss.mslm, both.loss.spsd, both.loss.weight, both.budget.scheme) == (True, True, True, 0.1, "dirichlet")
    for name, config in made.items():
        differing = {field for field in type(config).model_fields if getattr(config, field) != getattr(both, field)}
        assert differing == {"plain": {"loss", "run"}, "paper": {"budget"}}.get(name, {"loss"})
        assert (config.run.steps, config.run.seed) == (both.run.steps, 1)
    assert made["plain"].run.batch_tokens < both.run.batch_tokens
    assert not made["plain"].loss.stream_views
    assert {made[name].loss.weight for name in VARIANTS if name.startswith("lambda")} == {0.01, 1.0}


def test_a_fresh_model_has_at_most_three_million_parameters() -> None:
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415

    fresh = configuration("translate", "both", 0, RECIPES["translate"], Path("d"), Path("o")).model.fresh
    assert fresh is not None
    shape = AutoConfig.for_model(fresh.architecture, vocab_size=fresh.vocabulary, **fresh.sizes)
    count = AutoModelForCausalLM.from_config(shape).num_parameters()
    assert 2_000_000 < count < 3_000_000


@pytest.mark.slow
def test_a_whole_ablation_on_a_tiny_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = ("one\teins", "two\tzwei", "three\tdrei", "four\tvier")
    both = [tuple(line.split("\t")) for line in numbers]
    for split in ("train", "test"):
        lines = [f"{a} {c} {a} {c}\t{b} {d} {b} {d}" for a, b in both for c, d in both]
        (tmp_path / f"{split}.tsv").write_text("\n".join(lines), encoding="utf-8")
    plain: dict[str, Any] = {
        "model": {"fresh": {"vocabulary": 320, "sizes": SIZES}, "template": TEMPLATE, "name": "tiny"},
        "tasks": {"translate": {**TASK, "max_output_tokens": 16}},
        "data": [{"data": str(tmp_path / "train.tsv"), "task": "translate"}],
    }
    monkeypatch.setattr("claims.variants._translation", lambda _: plain)
    monkeypatch.setitem(ablation.JUDGED, "translate", (Part("translate", ("{data}/%s.tsv",), ("chrf",), ("LAAL",)),))
    trained = []

    def counted(config: Any) -> Path:
        AcceleratorState._reset_state(reset_partial_state=True)
        trained.append(config.run.out.name)
        return train(config)

    monkeypatch.setattr(ablation, "train", counted)
    given: dict[str, Any] = {
        "task": "translate", "data": tmp_path, "seeds": 2, "steps": 2, "rows": 200, "base": None, "count": 8, "threads": 1, "keep": False,
        "work": tmp_path / "work", "out": tmp_path / "results",
    }  # fmt: skip
    ablation.main(**given, variant=["plain", "mslm"])
    assert trained == ["h4-translate.plain.0", "h4-translate.mslm.0", "h4-translate.plain.1", "h4-translate.mslm.1"]
    ablation.main(**given, variant=["plain"])
    assert len(trained) == 4
    claim = h4.judge(read_all(tmp_path / "results"))
    held = {finding.what: finding.holds for finding in claim.findings}
    assert held["translation: mslm better than plain"] is not None
    assert held["translation: both better than plain"] is None
    AcceleratorState._reset_state(reset_partial_state=True)
