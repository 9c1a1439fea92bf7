"""What is kept of an item under each policy: its latencies, and the statistics that corpus metrics are made of.

Knows records and rows; knows no claim.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

from claims.results import Growing, Line, Point, rounded
from evaluation.drive import Job
from evaluation.evaluate import Backend
from evaluation.latency import LATENCY, Delays
from evaluation.quality import QUALITY
from evaluation.record import Record
from evaluation.word_lag import lags as word_lags
from tasks.example import Example


def columns(latencies: Sequence[str], metrics: Sequence[str]) -> tuple[str, ...]:
    """Names of a row's numbers."""
    sizes = {name: len(QUALITY[name].statistics("a", ["a"])) for name in metrics}
    return (*latencies, *(f"{name}.{place}" for name, size in sizes.items() for place in range(size)))


def row(record: Record, latencies: Sequence[str], metrics: Sequence[str]) -> tuple[int | float | None, ...]:
    """RCO and AIL over target tokens, as in the paper; LAAL over target words, as SimulEval's; WORD_LAG in ms, of recognised words."""
    delays = Delays(record.delays, record.source_length)
    by_word = Delays(record.word_delays, record.source_length, len(record.references[0].split()))
    late = word_lags(record) if "WORD_LAG" in latencies else []
    found = {"WORD_LAG": sum(late) / len(late) if late else None}
    found |= {name: LATENCY[name](by_word if name == "LAAL" else delays) for name in latencies if name in LATENCY}
    return rounded(
        [
            *(found[name] for name in latencies),
            *(float(n) for name in metrics for n in QUALITY[name].statistics(record.target, record.references)),
        ]
    )


def fill(
    growing: Growing,
    backend: Backend,
    points: Sequence[Point],
    examples: Sequence[Example],
    latencies: Sequence[str],
    metrics: Sequence[str],
    advance: Callable[[], None],
) -> None:
    """Runs the items that are not there yet. `backend` gives all records of an item before those of the next."""
    labels = [point.policy.label for point in points]
    policies = {point.policy.label: point.policy for point in points}.values()
    left = [example for example in examples if example.id not in growing.done]
    jobs: list[Job] = [(policy, example) for example in left for policy in policies if policy.suits(example)]
    for name, group in groupby(backend.run(jobs), key=lambda record: record.id):
        records = {record.policy: record for record in group}
        rows = tuple(row(records[label], latencies, metrics) if label in records else () for label in labels)
        growing.add(Line(id=name, cluster=next(iter(records.values())).cluster, rows=rows))
        advance()
