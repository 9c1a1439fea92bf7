"""Results with a known effect, or none. Knows no model."""

import numpy as np

from claims.results import Header, Line, Point, Result, rounded


def result(
    name: str,
    points: list[Point],
    rows: dict[str, list[list[float | None]]],
    columns: tuple[str, ...],
    *,
    clusters: int = 0,
    task: str = "answer",
) -> Result:
    """rows: label -> a row an item."""
    items = len(next(iter(rows.values())))
    header = Header(
        name=name, model="made", model_hash="0" * 64, task=task, data=("made",), data_hash="0" * 64, items=items, columns=columns,
        points=tuple(points),
    )  # fmt: skip
    lines = tuple(
        Line(
            id=f"i{i:04d}",
            cluster=f"c{i % clusters}" if clusters else "",
            rows=tuple(rounded(rows[point.policy.label][i]) for point in points),
        )
        for i in range(items)
    )
    return Result(header, lines)


def right(seed: int, items: int, share: float) -> np.ndarray:
    """[items] 0 and 1: `share` of them are right; item by item the easier ones, so that systems agree on what is hard."""
    rank = np.random.default_rng(7).permutation(items)
    noise = np.random.default_rng(seed).integers(-items // 50, items // 50 + 1, items)
    return (rank + noise < share * items).astype(float)


def near(seed: int, items: int, mean: float) -> np.ndarray:
    """[items] latencies around `mean`."""
    return np.random.default_rng(seed).normal(mean, 0.05, items).clip(0, 1)


def answering(
    name: str, items: int, *, head: float = 0.98, coverage: float = 0.70, fraction: float = 0.70, oracle: float = 0.66
) -> dict[str, Result]:
    """H1's two files: both heads are right on `head` of the items at `coverage`; fixed fraction is right on `fraction` there, and on all
    at the end."""
    metrics = ("exact_match",) if "needle" in name else ("f1",)
    columns = ("RCO", *(f"{metric}.{place}" for metric in metrics for place in (0, 1)))
    system = {
        Point(curve="entropy", threshold=0.9, purpose="point"): (coverage, head),
        Point(curve="attention", threshold=0.2, purpose="point"): (coverage, head),
        Point(curve="entropy", tier="low", purpose="tier", metric="rco", target=0.65): (0.65, head - 0.1),
        Point(curve="entropy", tier="medium", purpose="tier", metric="rco", target=0.80): (0.80, head),
        Point(curve="entropy", tier="high", purpose="tier", metric="rco", target=0.92): (0.92, head),
        Point(curve="oracle", threshold=1.0): (oracle, 0.99),
        Point(curve="full", threshold=0.0): (1.0, 1.0),
        **{Point(curve="fixed_fraction", threshold=x): (x, fraction + (x - coverage)) for x in (0.5, 0.6, 0.7, 0.8, 0.9)},
        **{Point(curve="wait_k", threshold=k): (0.2 + k / 100, 0.1) for k in (9.0, 70.0)},
    }
    rows = {}
    for seed, (point, (latency, share)) in enumerate(system.items()):
        read = np.ones(items) if point.curve == "full" else near(seed, items, latency)
        rows[point.policy.label] = [[x, y, 1.0] for x, y in zip(read, right(seed, items, share), strict=True)]
    shipped = result(name, list(system), rows, columns)
    plain = result(f"{name}.plain", [Point(curve="full", threshold=0.0)], {"full@0": rows["full@0"]}, columns)
    return {name: shipped, plain.header.name: plain}
