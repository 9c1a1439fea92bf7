"""`proactivellm evaluate`: flags to a plan, a progress bar, and the report's files. Measures nothing itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from errors import InvalidValueError

if TYPE_CHECKING:
    from backbones.loading import Checkpoint
    from evaluation.evaluate import Backend, Outcome, Plan
    from evaluation.progress import Progress
    from evaluation.store import Run
    from evaluation.summary import SignalSummary, TierTarget
    from tasks.example import Example


@dataclass(frozen=True)
class Where:
    """What evaluates: the backend, the model's name, the hash of its weights where they are at hand, and its tiers for the task."""

    backend: "Backend"
    model: str
    model_hash: str | None
    default_head: str
    tiers: dict[str, dict[str, Any]]  # head -> tier -> its entry in tiers.json
    checkpoint: "Checkpoint | None" = None


def evaluate(  # noqa: PLR0913, PLR0917 (one a flag)
    task: Annotated[str, typer.Option(help="Task of the model.")],
    data: Annotated[
        str,
        typer.Option(
            help="TSV, CSV, SQuAD JSON, MCTest text, DialogSum, JSONL (.gz too), two files SOURCE,TARGET, or needle:SPLIT:COUNT[:SEED]."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the report; a run that was cut off goes on there.")],
    model: Annotated[str, typer.Option(help="Folder, .gguf file or hub name; with --server the name of one of its models.")] = "",
    adapter: Annotated[str | None, typer.Option(help="Folder with a LoRA for the model; not with --server.")] = None,
    merge_adapter: Annotated[
        bool, typer.Option("--merge-adapter/--no-merge-adapter", help="Add adapters to the weights, or compute them beside.")
    ] = True,
    server: Annotated[str | None, typer.Option(help="Evaluate a running server instead, such as ws://127.0.0.1:8000.")] = None,
    head: Annotated[
        list[str] | None, typer.Option(help="Decision head; repeat for several. [default: the task's]", show_default=False)
    ] = None,
    threshold: Annotated[list[float] | None, typer.Option(help="Threshold for every head; repeat for several.")] = None,
    tier: Annotated[list[str] | None, typer.Option(help="Latency tier for every head; repeat for several.")] = None,
    sweep: Annotated[
        str | None, typer.Option(help="So many thresholds a head, from its own scores (8), or a list of them (0.2,0.4,0.6).")
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="full, wait_k, fixed_chunk, fixed_fraction, align_att, random, oracle, or all; repeat for several."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many items.", min=1)] = None,
    slots: Annotated[int, typer.Option(help="Items at a time.", min=1)] = 16,
    pace: Annotated[float, typer.Option(help="Send so many words a second and measure by the clock too; needs --server.", min=0)] = 0.0,
    signal_test: Annotated[
        int, typer.Option(help="Also test the heads' signals themselves (H0), on so many items; not with --server.", min=0)
    ] = 0,
    max_output_tokens: Annotated[int | None, typer.Option(help="End every item after so many tokens.", min=1)] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    threads: Annotated[
        int | None,
        typer.Option(help="Threads for torch; on a busy machine fewer are faster. [default: torch's choice]", show_default=False),
    ] = None,
) -> None:
    """Run a task's data under heads, thresholds and baselines, and report quality against latency.

    Writes items.jsonl (a line an item and policy), summary.json and report.html into --out.
    """
    import torch  # noqa: PLC0415 (seconds to import; --help must not)

    from evaluation import evaluate as parts  # noqa: PLC0415
    from evaluation.progress import shown  # noqa: PLC0415
    from evaluation.store import Run, Store  # noqa: PLC0415
    from tasks.data import data_hash, kind_of, metrics_of, read_data  # noqa: PLC0415

    if server is None and pace:
        raise InvalidValueError("expected --server with --pace: only over a socket a clock means what a client sees", param="pace")
    if server is not None and signal_test:
        raise InvalidValueError("expected no --signal-test with --server: it looks inside the model", param="signal_test")
    if server is not None and adapter:
        raise InvalidValueError("expected no --adapter with --server: it has loaded its models", param="adapter")
    if threads:
        torch.set_num_threads(threads)
    every = read_data(data, task)
    examples = every[:limit]
    where = (
        _server(server, model, task, slots, pace, max_output_tokens)
        if server
        else _engine(model, task, slots, max_output_tokens, dtype=dtype, device=device, adapter=adapter, merge_adapter=merge_adapter)
    )
    plan = _plan(where, head, threshold, tier, sweep, baseline)
    run = Run(
        model=where.model,
        model_hash=where.model_hash,
        task=task,
        data=Path(data).name,
        data_hash=data_hash(every),  # whatever the limit is, so that a longer run goes on
        max_output_tokens=max_output_tokens,
        pace=pace,
        unit="ms" if any(example.audio for example in examples) else "word",
    )
    with Store(out, run) as store, shown() as progress:
        outcome = parts.run(plan, examples, where.backend, store, progress)
        signal = _signal(where.checkpoint, task, examples[:signal_test], progress) if signal_test and where.checkpoint else None
    _report(out, run, outcome, metrics_of(task, kind_of(data)), signal, where)


def _engine(model: str, task: str, slots: int, max_output_tokens: int | None, **how: Any) -> Where:
    from backbones.loading import load  # noqa: PLC0415
    from errors import UnknownNameError  # noqa: PLC0415
    from evaluation.backends import OnEngine  # noqa: PLC0415
    from evaluation.evaluate import model_hash  # noqa: PLC0415
    from server.config import DEFAULT_MODEL  # noqa: PLC0415

    checkpoint = load(model or DEFAULT_MODEL, **how)
    if task not in checkpoint.config.tasks:
        raise UnknownNameError("task", task, checkpoint.config.tasks)
    tiers = {name: {tier: entry.model_dump() for tier, entry in by.items()} for name, by in checkpoint.tiers.get(task, {}).items()}
    backend = OnEngine(checkpoint, task, slots, max_output_tokens)
    return Where(backend, checkpoint.name, model_hash(checkpoint), checkpoint.config.tasks[task].default_head, tiers, checkpoint)


def _server(url: str, model: str, task: str, slots: int, pace: float, max_output_tokens: int | None) -> Where:
    from evaluation.backends import OverServer, describe  # noqa: PLC0415

    entry = describe(url, task, model or None)
    backend = OverServer(url, task, entry["id"], min(slots, entry["slots"]), pace, max_output_tokens)
    return Where(backend, entry["id"], None, entry["tasks"][task]["default_head"], entry["tasks"][task]["tiers"])


def _plan(
    where: Where,
    heads: list[str] | None,
    thresholds: list[float] | None,
    tiers: list[str] | None,
    sweep: str | None,
    baselines: list[str] | None,
) -> "Plan":
    from evaluation.evaluate import Plan  # noqa: PLC0415
    from evaluation.policies import ALL_BASELINES  # noqa: PLC0415

    values, count = list(thresholds or ()), None
    if sweep is not None:
        try:
            count = int(sweep) if sweep.isdecimal() else None
            values += [] if sweep.isdecimal() else [float(part) for part in sweep.split(",")]
        except ValueError:
            raise InvalidValueError(f"expected --sweep 8 or --sweep 0.2,0.4,0.6; got {sweep!r}", param="sweep") from None
    chosen = heads or [where.default_head]
    names = list(ALL_BASELINES) if baselines == ["all"] else baselines or []
    if not (values or tiers or count):
        with_tiers = all(head in where.tiers for head in chosen)
        tiers, count = (list(where.tiers[chosen[0]]), None) if with_tiers else ([], 8)
    return Plan(chosen, values, tiers or [], count, names)


def _signal(checkpoint: "Checkpoint", task: str, examples: "list[Example]", progress: "Progress") -> "SignalSummary":
    from evaluation.probing import Limits, probe_items  # noqa: PLC0415
    from evaluation.signal_test import rows  # noqa: PLC0415
    from evaluation.summary import SignalSummary  # noqa: PLC0415

    progress.stage("signals at every prefix", len(examples))
    seen = []
    for probes in probe_items(checkpoint, checkpoint.backbone, task, examples, Limits()):
        seen += probes
        progress.advance()
    found = rows(seen, [example.cluster for example in examples], checkpoint.backbone.vocab_size)
    return SignalSummary.model_validate({"n_items": len(examples), "n_probes": len(seen), "rows": found}, from_attributes=True)


def _report(out: Path, run: "Run", outcome: "Outcome", metrics: tuple[str, ...], signal: "SignalSummary | None", where: Where) -> None:
    from evaluation.report import PAGE, write  # noqa: PLC0415
    from evaluation.summary import SUMMARY, summarise  # noqa: PLC0415

    summary = summarise(run, outcome.records, metrics, signal=signal, tiers=_targets(where), matched=outcome.matches)
    write(out, summary, outcome.records)
    print(f"Written: {out / PAGE}, {SUMMARY} and items.jsonl beside it")


def _targets(where: Where) -> "dict[str, TierTarget]":
    """Of the calibrated tiers, by the label of the policy that runs them."""
    from evaluation.summary import TierTarget  # noqa: PLC0415

    return {
        f"{head}:{tier}": TierTarget(
            metric=entry["metric"],
            target=entry["target"],
            achieved_on_development=entry["achieved"],
            convention="words_by_word" if entry["metric"] == "laal" else "words",
        )
        for head, tiers in where.tiers.items()
        for tier, entry in tiers.items()
        if entry["calibrated"] and entry["target"] is not None
    }
