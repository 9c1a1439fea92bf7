"""Speech: word error rates on speakers and voices that training did not hear, against how late words come. Knows two parts' files."""

from collections.abc import Mapping, Sequence

import numpy as np

from claims import prose
from claims.claim import Claim, Finding, Grid
from claims.figures import LATENCY_KEYS, Figures
from claims.parts import DIGITS_POINT
from claims.results import Result
from evaluation.bootstrap import Interval
from evaluation.table import Key, interval
from evaluation.tables import number

DIGITS, SENTENCES = "speech-digits", "speech-sentences"
TURN = f"{DIGITS}."  # before the speaker in the name of the results of a model that did not hear him
WHERE = {DIGITS: "digits of an unseen speaker", SENTENCES: "sentences of an unseen voice"}
WER, LAG = "wer_words", LATENCY_KEYS["WORD_LAG"]
AIMS = {"rco": "RCO of {:g}", "lag": "{:g} ms from a word's end"}
MOST_WER, MOST_LAG = 5.0, 1000.0  # percent; ms


def judge(results: Mapping[str, Result]) -> Claim:
    """The target for digits, of the shipped model and of the models that were trained without each speaker in turn; sentences have none."""
    figures = {part: Figures(results[part]) for part in WHERE if part in results}
    turns = {name.removeprefix(TURN): Figures(found) for name, found in sorted(results.items()) if name.startswith(TURN)}
    findings = _digits("digits", [figures[DIGITS]] if DIGITS in figures else [])
    findings += _digits("digits of every speaker in turn", list(turns.values()))
    grids = [*map(_grid, figures.values()), *([_turns(turns)] if turns else [])]
    return Claim("Speech", "Words soon after they were said", prose.SPEECH, findings, grids)


def _digits(where: str, figures: Sequence[Figures]) -> list[Finding]:
    asked = (
        (("quality", WER), MOST_WER, 1, f"{where}, entropy: word error rate at most {MOST_WER:g}%"),
        (LAG, MOST_LAG, 0, f"{where}, entropy: at most {MOST_LAG:g} ms from a word's end to its write, on average"),
    )
    numbers = [_mean(figures, "entropy", DIGITS_POINT, key) if figures else None for key, *_ in asked]
    return [
        Finding(what, value.high <= most if value else None, number(value, digits) if value else "")
        for (_, most, digits, what), value in zip(asked, numbers, strict=True)
    ]


def _mean(figures: Sequence[Figures], curve: str, purpose: str | None, key: Key) -> Interval:
    """Of speakers, each of whom counts the same; in every resample, recordings of each are drawn."""
    return interval(np.mean([found.rows(found.label(curve, purpose))[key] for found in figures], axis=0))


def _turns(turns: Mapping[str, Figures]) -> Grid:
    policies = (("full", None, "full"), ("entropy", "curve", "entropy, RCO of 0.58"), ("entropy", DIGITS_POINT, "entropy, judged"))
    header = ["kept for testing", "recordings"]
    header += [f"{policy}: {what}" for *_, policy in policies for what in ("word error rate, %", "ms from a word's end")]
    groups = {**{speaker: [found] for speaker, found in turns.items()}, "mean of speakers": list(turns.values())}
    rows = [
        [
            name,
            f"{sum(len(one.items) for one in found):,}",
            *(
                number(_mean(found, curve, purpose, key), digits)
                for curve, purpose, _ in policies
                for key, digits in ((("quality", WER), 1), (LAG, 0))
            ),
        ]
        for name, found in groups.items()
    ]
    return Grid(f"digits: {len(turns)} models, each without one speaker, who says the digits", [header, *rows])


def _grid(figures: Figures) -> Grid:
    keys = [LATENCY_KEYS[column] for column in figures.header.columns if column in LATENCY_KEYS]
    names = {LAG: "ms from a word's end", LATENCY_KEYS["LAAL"]: "LAAL in ms", LATENCY_KEYS["RCO"]: "RCO"}
    header = ("policy", "chosen for", *(names[key] for key in keys), "word error rate, %")
    rows = []
    for point in figures.header.points:
        label = point.policy.label
        aim = AIMS.get(point.metric or "", "{:g}").format(point.target) if point.target is not None else ""
        cells = [number(figures.figure(label, key), 2 if names[key] == "RCO" else 0) for key in keys]
        rows.append((label, aim, *cells, number(figures.figure(label, ("quality", WER)), 1)))
    return Grid(f"{WHERE[figures.header.name]}: {len(figures.items):,} recordings ({figures.header.model})", [header, *rows])
