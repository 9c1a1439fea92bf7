"""A soak: clients that vanish and clients that never read among those that behave; then, was anything lost, kept or changed?

The outputs are held against those of each source alone on the same server, before. Knows results and the server's state.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from load.crowd import Plan, crowd
from load.feed import Feed
from load.report import Check, Report, report
from load.server import LoadError, State, state, wait_until_free
from load.session import Result, Target, behave
from load.trace import Output

WARM_SHARE = 0.1  # of the time: caches and allocators fill before memory is looked at


async def soak(target: Target, feeds: Sequence[Feed], plan: Plan, *, memory_growth: float, differing: float) -> Report:
    """Solo runs, a while to warm up, the load, and the checks.

    memory_growth: share by which resident memory may grow; differing: share of outputs that may differ (0 in float32)
    """
    alone = await solo(target, feeds)
    await crowd(target, feeds, replace(plan, seconds=WARM_SHARE * plan.seconds, seed=plan.seed + 1))
    before = await wait_until_free(target.url, target.api_key)
    started = time.perf_counter()
    results = await crowd(target, feeds, plan)
    seconds = time.perf_counter() - started
    after = await wait_until_free(target.url, target.api_key)
    checks = (check_slots(after), check_memory(before, after, memory_growth), check_outputs(results, alone, differing))
    return report(plan, results, seconds, before, after, checks)


async def load(target: Target, feeds: Sequence[Feed], plan: Plan) -> Report:
    """The load alone."""
    before = await state(target.url, target.api_key)
    started = time.perf_counter()
    results = await crowd(target, feeds, plan)
    seconds = time.perf_counter() - started
    return report(plan, results, seconds, before, await wait_until_free(target.url, target.api_key))


async def solo(target: Target, feeds: Sequence[Feed]) -> dict[str, Output]:
    """The output of each feed with nobody beside it. Raises LoadError for one that fails even so."""
    outputs = {}
    for feed in feeds:
        result = await behave(target, feed, paced=False)
        if result.error is not None or result.trace.done is None:
            raise LoadError(f"expected {feed.name} alone to reach its end, got {result.error}")
        outputs[feed.name] = result.trace.output
    return outputs


def check_slots(after: State) -> Check:
    """Every slot is free."""
    return Check(name="slots", held=after.in_use == 0, told=f"{after.in_use} of {after.slots} in use after the last session")


def check_memory(before: State, after: State, growth: float) -> Check:
    """Resident memory has not grown; a server that does not tell its memory fails."""
    if before.memory is None or after.memory is None:
        return Check(name="memory", held=False, told="the server does not tell its memory")
    told = f"{before.memory / 2**20:.1f} to {after.memory / 2**20:.1f} MiB (at most {growth:+.0%})"
    return Check(name="memory", held=after.memory <= before.memory * (1 + growth), told=told)


def check_outputs(results: Sequence[Result], alone: dict[str, Output], differing: float) -> Check:
    """Clients that behaved and were not refused reached their end, with the output of the solo run."""
    surviving = [result for result in results if result.fault == "none" and not result.refused]
    failed = sum(result.error is not None for result in surviving)
    other = sum(result.error is None and result.trace.output != alone[result.feed.name] for result in surviving)
    held = bool(surviving) and failed == 0 and other <= differing * len(surviving)
    return Check(name="outputs", held=held, told=f"{len(surviving)} sessions that behaved: {failed} failed, {other} unlike their solo run")
