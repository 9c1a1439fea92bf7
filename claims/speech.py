"""Speech: word error rates on speakers and voices that training did not hear, against how late words come. Knows two parts' files."""

from collections.abc import Mapping

from claims import prose
from claims.claim import Claim, Finding, Grid
from claims.figures import LATENCY_KEYS, Figures
from claims.parts import DIGITS_POINT
from claims.results import Result
from evaluation.tables import number

DIGITS, SENTENCES = "speech-digits", "speech-sentences"
WHERE = {DIGITS: "digits of an unseen speaker", SENTENCES: "sentences of an unseen voice"}
WER, LAG = "wer_words", LATENCY_KEYS["WORD_LAG"]
MOST_WER, MOST_LAG = 5.0, 1000.0  # percent; ms


def judge(results: Mapping[str, Result]) -> Claim:
    """The target for digits; sentences have none, but stand beside it."""
    figures = {part: Figures(results[part]) for part in WHERE if part in results}
    return Claim("Speech", "Words soon after they were said", prose.SPEECH, _digits(figures.get(DIGITS)), [*map(_grid, figures.values())])


def _digits(figures: Figures | None) -> list[Finding]:
    asked = (
        (("quality", WER), MOST_WER, 1, f"digits, entropy: word error rate at most {MOST_WER:g}%"),
        (LAG, MOST_LAG, 0, f"digits, entropy: at most {MOST_LAG:g} ms from a word's end to its write, on average"),
    )
    found = figures.label("entropy", DIGITS_POINT) if figures else ""
    numbers = [figures.figure(found, key) if figures else None for key, *_ in asked]
    return [
        Finding(what, value.high <= most if value else None, number(value, digits) if value else "")
        for (_, most, digits, what), value in zip(asked, numbers, strict=True)
    ]


def _grid(figures: Figures) -> Grid:
    keys = [LATENCY_KEYS[column] for column in figures.header.columns if column in LATENCY_KEYS]
    names = {LAG: "ms from a word's end", LATENCY_KEYS["LAAL"]: "LAAL in ms", LATENCY_KEYS["RCO"]: "RCO"}
    header = ("policy", "chosen for", *(names[key] for key in keys), "word error rate, %")
    rows = []
    for point in figures.header.points:
        label = point.policy.label
        aim = f"RCO of {point.target:g}" if point.target is not None else ""
        cells = [number(figures.figure(label, key), 2 if names[key] == "RCO" else 0) for key in keys]
        rows.append((label, aim, *cells, number(figures.figure(label, ("quality", WER)), 1)))
    return Grid(f"{WHERE[figures.header.name]}: {len(figures.items):,} recordings ({figures.header.model})", [header, *rows])
