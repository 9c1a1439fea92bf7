"""HTML from Python values, escaped unless it is Safe; and how a report looks. Knows nothing of what is reported."""

import html
from collections.abc import Iterable, Sequence


class Safe(str):
    """Markup that is meant as such."""

    __slots__ = ()


def safe(child: object) -> Safe:
    """Anything that is not Safe is text, and escaped."""
    return child if isinstance(child, Safe) else Safe(html.escape(str(child)))


def join(children: Iterable[object]) -> Safe:
    """One after the other."""
    return Safe("".join(map(safe, children)))


def tag(name: str, *children: object, **attributes: object) -> Safe:
    """An element. `class_` is `class`, and `_` in a name is `-`."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{safe(value)}"' for key, value in attributes.items())
    return Safe(f"<{name}{given}>{join(children)}</{name}>")


def table(header: Sequence[object], rows: Iterable[Sequence[object]], caption: str) -> Safe:
    """The first cell of each row is its heading. Wider than the page it scrolls by itself."""
    head = tag("tr", *(tag("th", cell, scope="col") for cell in header))
    body = [tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in rest)) for first, *rest in rows]
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)


def document(title: str, *body: object) -> str:
    """One file that loads nothing, and by its policy may not."""
    policy = Safe("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">")
    head = join(
        [
            Safe('<meta charset="utf-8">'),
            policy,
            Safe('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            tag("title", title),
            tag("style", Safe(STYLE)),
        ]
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>{join(body)}</main></body></html>\n'


STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #5b636d; --line: #d9dde2; --tint: #f4f6f8;
  --h0: #0b5fc4; --h1: #c2410c; --h2: #15803d; --h3: #8b2fc9;
  --b0: #57606a; --b1: #9a6b00; --b2: #0f7c83; --b3: #2b2f36; --b4: #a0457d; --b5: #7d8790; --b6: #5f6f1f;
  --good: #12722f; --bad: #b3261e; }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e7eaee; --soft: #9aa4af; --line: #343b44;
  --tint: #1d2127; --h0: #6cb2ff; --h1: #ff9d5c; --h2: #5fd08a; --h3: #c79bff;
  --b0: #a9b3bd; --b1: #d8b056; --b2: #63c3c9; --b3: #f0f2f4; --b4: #dd92bf; --b5: #87919c; --b6: #b5c46a;
  --good: #6fd68c; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p, ul, dl { max-width: 46rem; margin: .5rem 0; }
.soft, small, caption { color: var(--soft); }
figure { max-width: 54rem; margin: 1rem 0; break-inside: avoid; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 13px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--line); }
.whole { stroke: var(--soft); stroke-dasharray: 2 4; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; padding: 0; margin: .4rem 0; max-width: none;
  font-size: .9rem; }
.legend svg { display: inline-block; width: 44px; height: 16px; vertical-align: -3px; margin-right: .35rem; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; white-space: nowrap; }
thead th { color: var(--soft); font-weight: 500; }
tbody th { font-weight: 500; position: sticky; left: 0; background: var(--paper); }
td small { display: block; }
.better { color: var(--good); font-weight: 600; }
.worse { color: var(--bad); font-weight: 600; }
.item { background: var(--tint); border-radius: 8px; padding: .7rem .9rem; margin: .8rem 0; break-inside: avoid; }
.words { display: flex; flex-wrap: wrap; gap: .15rem .5rem; margin: .2rem 0 .6rem; }
.words span { display: inline-flex; flex-direction: column; align-items: center; line-height: 1.25; }
.words small { font-size: .7rem; }
.unread { opacity: .5; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 560px) { svg.plot text { font-size: 21px; } dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; } }
@media print { body { font-size: 11px; } main { max-width: none; padding: 0; } .scroll { overflow: visible; } table { font-size: 8px; }
  th, td { padding-right: .4rem; white-space: normal; } }
"""
