"""What is measured within one process: each function returns one ratio, its parts timed alternately so that noise hits both alike.

Knows the engine and transformers; knows no target and prints nothing.
"""

import gc
from collections.abc import Callable
from dataclasses import replace
from math import inf
from statistics import median
from time import perf_counter
from typing import Any

import psutil
import torch
from transformers import DynamicCache

from backbones.loading import Checkpoint
from engine.actions import Append, Done, End, Event
from engine.engine import Engine, EngineConfig
from engine.request import Request
from engine.session import Session
from heads import checked_needs, create

# Common words, each one token of its own behind a space.
TEXT = "the people of this small town have always known that water comes from under the old stone bridge"
ASK = {"question": "Where does the water come from?"}


def text(words: int) -> list[str]:
    """So many words, one an append."""
    known = TEXT.split()
    return [known[i % len(known)] + " " for i in range(words)]


def seconds(act: Callable[[], object]) -> float:
    """Wall clock of one call."""
    started = perf_counter()
    act()
    return perf_counter() - started


def alternately(rounds: int, *acts: Callable[[], object]) -> list[float]:
    """Median seconds of each, after one round that does not count."""
    times: list[list[float]] = [[] for _ in acts]
    for number in range(rounds + 1):
        for kept, act in zip(times, acts, strict=True):
            took = seconds(act)
            if number:
                kept.append(took)
    return [median(kept) for kept in times]


def engine(checkpoint: Checkpoint, *, slots: int, length: int) -> Engine:
    """With exactly so many slots."""
    memory = (slots * length + 1) * checkpoint.backbone.shape.bytes_per_row()
    return Engine(checkpoint, EngineConfig(kv_memory=memory, slot_length=length))


def never_ending(checkpoint: Checkpoint) -> Checkpoint:
    """The same model, whose end token is none, so that every run writes the same number of tokens."""
    return replace(checkpoint, frame=replace(checkpoint.frame, end=frozenset({-1})))


def drain(running: Engine) -> list[tuple[Session, Event]]:
    """Ticks until nothing is left to do."""
    events = running.emit()
    while running.busy:
        events += running.step()
    return events


def batching(checkpoint: Checkpoint, sessions: int = 16) -> dict[str, float]:
    """Tokens/s of sessions in one engine against the same one after another: 24 words with a probe each, then 32 tokens."""
    running = engine(never_ending(checkpoint), slots=sessions, length=256)

    def some(count: int) -> None:
        for _ in range(count):
            session = running.open(Request("answer", inputs=ASK, head="full", max_output_tokens=32))
            for word in text(24):
                session.send(Append(word))
            session.send(End())
        done = [event for _, event in drain(running) if isinstance(event, Done)]
        if [event.usage.target_tokens for event in done] != [32] * count:
            raise AssertionError(f"expected {count} sessions of 32 tokens, got {done}")

    def one_by_one() -> None:
        for _ in range(sessions):
            some(1)

    together, apart = alternately(2, lambda: some(sessions), one_by_one)
    tokens = sessions * 32
    return {"ratio": apart / together, "together_tokens_s": tokens / together, "apart_tokens_s": tokens / apart}


def decode_step(checkpoint: Checkpoint, plain: Any, length: int = 512) -> dict[str, float]:
    """One session's step that writes a token, against transformers' cached greedy step, both from `length` tokens on."""
    running = engine(never_ending(checkpoint), slots=1, length=1024)
    session = running.open(Request("answer", inputs=ASK, head="full", max_output_tokens=200))
    session.send(Append("".join(text(length - len(session.settings.prefix)))))
    session.send(End())
    while not session.controller.trajectory:
        running.step()
    cache = DynamicCache(config=plain.config)
    with torch.inference_mode():
        out = plain(input_ids=torch.ones((1, length), dtype=torch.long), past_key_values=cache, logits_to_keep=1)
        token = out.logits[:, -1:].argmax(-1)

    @torch.inference_mode()
    def theirs() -> None:
        nonlocal token
        token = plain(input_ids=token, past_key_values=cache).logits[:, -1:].argmax(-1)
        token.item()

    ours, reference = alternately(120, running.step, theirs)
    return {"ratio": ours / reference, "ours_ms": 1e3 * ours, "transformers_ms": 1e3 * reference}


def against_reencoding(checkpoint: Checkpoint, plain: Any, words: int) -> dict[str, float]:
    """A stream with a read and a probe after each word, against a forward over all of it at each word (from 16 prefixes)."""
    running = engine(checkpoint, slots=1, length=2 * words + 256)
    session = running.open(Request("answer", inputs=ASK, head="full", max_output_tokens=8))

    def ours() -> None:
        for word in text(words):
            session.send(Append(word))
            drain(running)

    prompt = len(session.settings.prefix) + len(checkpoint.frame.header)
    took = seconds(ours)
    if session.controller.phi != words:
        raise AssertionError(f"expected {words} words read, got {session.controller.phi}")
    per_word = session.rows.stream / words

    @torch.inference_mode()
    def encode(count: int) -> None:
        plain(input_ids=torch.ones((1, count), dtype=torch.long), use_cache=False, logits_to_keep=1)

    encode(64)
    prefixes = [round((i + 0.5) * words / 16) for i in range(16)]
    reference = words / 16 * sum(min(seconds(lambda n=n: encode(prompt + round(n * per_word))) for _ in range(2)) for n in prefixes)  # type: ignore[misc]
    running.close(session)
    return {"ratio": reference / took, "ours_s": took, "reencoding_s": reference}


def long_source(checkpoint: Checkpoint, short: int = 128, long: int = 4096) -> dict[str, float]:
    """A read and a probe at `long` source tokens against the same at `short`."""
    running = engine(checkpoint, slots=2, length=long + 512)
    acts = []
    for length in (short, long):
        session = running.open(Request("answer", inputs=ASK, head="full", max_output_tokens=8))
        session.send(Append("".join(text(length - len(session.settings.prefix)))))
        drain(running)

        def act(session: Session = session) -> None:
            session.send(Append("water "))
            running.step()

        acts.append(act)
    at_short, at_long = alternately(60, *acts)
    return {"ratio": at_long / at_short, "short_ms": 1e3 * at_short, "long_ms": 1e3 * at_long}


def head_cost(checkpoint: Checkpoint, sessions: int = 16, length: int = 512) -> dict[str, float]:
    """A tick of 16 probes with entropy, or with attention scores of eight selected heads, against one with no head's signals."""
    running = engine(checkpoint, slots=sessions, length=length + 512)
    opened = [running.open(Request("answer", inputs=ASK, head="full", threshold=inf, max_output_tokens=8)) for _ in range(sessions)]
    for session in opened:
        session.send(Append("".join(text(length - len(session.settings.prefix)))))
    drain(running)

    def act(name: str) -> Callable[[], None]:
        head = create(name)

        def tick() -> None:
            for session in opened:
                session.settings = replace(session.settings, head=head, needs=checked_needs(head))
                session.send(Append("water "))
            running.step()

        return tick

    none, entropy, attention = alternately(80, act("full"), act("entropy"), act("attention"))
    if any(session.done for session in opened):
        raise AssertionError("expected sessions that go on to the end of the measurement, got some that are done")
    return {
        "ratio": max(entropy, attention) / none,
        "entropy": entropy / none,
        "attention": attention / none,
        "no_head_ms": 1e3 * none,
    }


def sessions_in_a_gib(checkpoint: Checkpoint) -> dict[str, float]:
    """Sessions of 256 + 256 tokens that a GiB holds, all of them opened and their rows written, against the formula."""
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    running = Engine(checkpoint, EngineConfig(kv_memory=1 << 30, slot_length=512))
    opened = 0
    while running.free_slots:
        running.open(Request("answer", inputs=ASK, head="full", max_output_tokens=256 - len(checkpoint.frame.header) + 1))
        opened += 1
    shape = checkpoint.backbone.shape
    formula = (1 << 30) / (2 * shape.layers * shape.kv_heads * shape.head_dim * 512 * shape.dtype.itemsize)
    grown = process.memory_info().rss - before
    return {"ratio": opened / formula, "sessions": opened, "formula": formula, "resident_gib": grown / (1 << 30)}
