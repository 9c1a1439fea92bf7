"""Models by script: the real engine runs, and what it would write is replaced. The copyist repeats its source, as its slot holds it."""

from collections.abc import Callable, Sequence

from engine.engine import Engine
from engine.runner import Probe
from engine.scheduler import Turn
from engine.session import Session
from tests import tiny

LIST = "abcdefghijklmnopqrstuvwxyz"


def text(words: int, *, sentence: int = 0, start: int = 0) -> str:
    """Words that are all different, so that a lost or doubled one shows; every `sentence` of them are a sentence."""
    made = []
    for number in range(start, start + words):
        name = LIST[number // 676 % 26] + LIST[number // 26 % 26] + LIST[number % 26]
        made.append(name + "." * bool(sentence and (number + 1) % sentence == 0))
    return " ".join(made)


def scripted(engine: Engine, choose: Callable[[Session], int], *, blind: bool = True) -> Engine:
    """The engine with a model that writes what `choose` says. `blind`: its forward is left out, which takes nearly all of the time."""
    plain = engine.runner.forward

    def unseen(turns: Sequence[Turn[Session]]) -> list[Probe]:
        for turn in turns:
            turn.session.feed(turn.count)
        return [Probe(turn.session, 0, 0.0, None) for turn in turns if turn.probe and turn.session.probe(attention=False)]

    def forward(turns: Sequence[Turn[Session]]) -> list[Probe]:
        probes = (unseen if blind else plain)(turns)
        for probe in probes:
            probe.token = choose(probe.session)
        return probes

    engine.runner.forward = forward  # type: ignore[method-assign]
    return engine


def next_token(engine: Engine, session: Session) -> int:
    """The next source token that is not written, the end where there is none; by what the slot's rows hold, and nothing else."""
    rows, frame = session.rows, engine.checkpoint.frame
    source = rows.source[rows.prefix : rows.prefix + rows.stream]
    written = rows.target[len(frame.header) :]
    while source and not engine.checkpoint.tokenizer.decode(source[-1:]).strip():
        source.pop()  # a target does not end in a blank
    if source[: len(written)] == written and len(written) < len(source):
        return source[len(written)]
    return min(frame.end)


def engine(length: int = 96, *, slots: int = 2, tick_tokens: int = 64, blind: bool = True) -> Engine:
    """A tiny engine whose model copies."""
    made = tiny.engine(slots=slots, length=length, tick_tokens=tick_tokens)
    return scripted(made, lambda session: next_token(made, session), blind=blind)
