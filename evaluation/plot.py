"""A plot of quality against latency as SVG inside a page, coloured by the page's style. Knows points with intervals, no policy."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10

from evaluation.bootstrap import Interval
from evaluation.page import Safe, join, tag

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 58, 18, 40, 62
DASHES = ("", "7 4", "2 4", "9 3 2 3", "5 3", "1 3", "12 4")
SHAPES = (
    "M-3.4-3.4h6.8v6.8h-6.8z",
    "M0-4.4 4.4 3.4h-8.8z",
    "M0-4.6 4.6 0 0 4.6-4.6 0z",
    "M-4-4 4 4M4-4-4 4",
    "M0 4.4 4.4-3.4h-8.8z",
    "M-4 0h8M0-4v8",
)


@dataclass(frozen=True)
class Point:
    """x: latency, y: quality and its interval, title: what is shown on hovering, ring: whether it is marked (a tier)."""

    x: float
    y: Interval
    title: str
    ring: bool = False


@dataclass(frozen=True)
class Line:
    """One curve. colour: `h0` .. `h3` of a head, drawn solid with a strong band; `b0` .. `b6` of a baseline, dashed with a weak one."""

    name: str
    colour: str
    points: tuple[Point, ...]

    @property
    def head(self) -> bool:
        """Not a baseline."""
        return self.colour.startswith("h")

    @property
    def dash(self) -> str:
        """Colour is not the only difference between lines."""
        return "" if self.head else DASHES[int(self.colour[1:]) % len(DASHES)]


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` on pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, number: float) -> float:
        """Pixels, to a tenth."""
        share = (number - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """At most nine round numbers."""
        rough = (self.high - self.low) / 8
        power = 10 ** floor(log10(rough))
        step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
        first = -floor(-self.low / step)
        return [round(k * step, 10) for k in range(first, floor(self.high / step + 1e-9) + 1)]


def svg(lines: Sequence[Line], *, x_name: str, y_name: str, whole: float | None = None) -> Safe:
    """All lines on one plot, intervals shaded; `whole`: a quality that is drawn across. At least one point must be finite."""
    known = [point for line in lines for point in line.points if isfinite(point.x) and isfinite(point.y.value)]
    heights = [n for point in known for n in (point.y.value, point.y.low, point.y.high) if isfinite(n)]
    x = _scale([point.x for point in known], LEFT, WIDTH - RIGHT)
    y = _scale(heights if whole is None else [*heights, whole], HEIGHT - BOTTOM, TOP)
    parts = [_axes(x, y, x_name, y_name)]
    if whole is not None:
        parts.append(tag("line", class_="whole", x1=LEFT, x2=WIDTH - RIGHT, y1=y(whole), y2=y(whole)))
    shown = [(line, [point for point in sorted(line.points, key=lambda p: p.x) if point in known]) for line in lines]
    shown.sort(key=lambda pair: pair[0].head)  # heads above baselines
    parts += [_band(line, points, x, y) for line, points in shown]
    parts += [_path(line, points, x, y) for line, points in shown]
    label = f"{y_name} against {x_name}: {', '.join(line.name for line in lines)}"
    return tag("svg", *parts, class_="plot", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label)


def swatch(line: Line) -> Safe:
    """The line as a legend shows it."""
    stroke = tag("line", x1=1, x2=43, y1=8, y2=8, stroke=f"var(--{line.colour})", stroke_width=2, stroke_dasharray=line.dash or "none")
    return tag("svg", stroke, _marker(line, 22, 8), viewBox="0 0 44 16", aria_hidden="true")


def _scale(numbers: Sequence[float], start: float, end: float) -> Scale:
    low, high = min(numbers), max(numbers)
    margin = 0.04 * (high - low) or max(abs(high), 1) * 0.1
    return Scale(low - margin, high + margin, start, end)


def _axes(x: Scale, y: Scale, x_name: str, y_name: str) -> Safe:
    parts = []
    for tick in y.ticks():
        parts.append(tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick)))
        parts.append(tag("text", f"{tick:g}", x=LEFT - 8, y=y(tick) + 5, text_anchor="end"))
    for tick in x.ticks():
        parts.append(tag("line", class_="grid", x1=x(tick), x2=x(tick), y1=TOP, y2=HEIGHT - BOTTOM))
        parts.append(tag("text", f"{tick:g}", x=x(tick), y=HEIGHT - BOTTOM + 22, text_anchor="middle"))
    parts.append(tag("text", y_name, x=4, y=22))
    parts.append(tag("text", x_name, x=WIDTH - RIGHT, y=HEIGHT - 8, text_anchor="end"))
    return join(parts)


def _band(line: Line, points: Sequence[Point], x: Scale, y: Scale) -> Safe:
    """The polygon between the bounds; of a single point a bar."""
    bounded = [point for point in points if isfinite(point.y.low)]
    if len(bounded) == 1:
        (only,) = bounded
        return tag("line", x1=x(only.x), x2=x(only.x), y1=y(only.y.low), y2=y(only.y.high), stroke=f"var(--{line.colour})")
    corners = [(point.x, point.y.high) for point in bounded] + [(point.x, point.y.low) for point in reversed(bounded)]
    outline = " ".join(f"{x(right)},{y(up)}" for right, up in corners)
    return tag("polygon", points=outline, fill=f"var(--{line.colour})", fill_opacity=0.2 if line.head else 0.07)


def _path(line: Line, points: Sequence[Point], x: Scale, y: Scale) -> Safe:
    course = " ".join(f"{x(point.x)},{y(point.y.value)}" for point in points)
    width = 2.4 if line.head else 1.5
    stroke = tag(
        "polyline", points=course, fill="none", stroke=f"var(--{line.colour})", stroke_width=width, stroke_dasharray=line.dash or "none"
    )
    return join([stroke, *(_marker(line, x(point.x), y(point.y.value), point) for point in points)])


def _marker(line: Line, right: float, down: float, point: Point | None = None) -> Safe:
    colour, at = f"var(--{line.colour})", f"translate({right} {down})"
    title = [tag("title", point.title)] if point else []
    if line.head:
        ring = [tag("circle", r=8, fill="none", stroke=colour, stroke_width=1.6)] if point and point.ring else []
        return tag("g", tag("circle", *title, r=4, fill=colour), *ring, transform=at)
    shape = SHAPES[int(line.colour[1:]) % len(SHAPES)]
    return tag("path", *title, d=shape, transform=at, fill="var(--paper)", stroke=colour, stroke_width=1.6)
