"""Many clients at once, each with sessions back to back, none in step with another. Decides who streams what, and who misbehaves."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from load.feed import Feed, late_start
from load.session import Result, Target, be_deaf, behave, vanish

PAUSE = 0.5  # seconds between a client's sessions, on average


@dataclass(frozen=True)
class Plan:
    """clients: at once; seconds: no session begins after them; vanishing, deaf: shares of the sessions that misbehave so.

    linger: seconds that one that never reads goes on after its source; a server closes it after ten
    """

    clients: int
    seconds: float
    vanishing: float = 0.0
    deaf: float = 0.0
    linger: float = 30.0
    seed: int = 0


async def crowd(target: Target, feeds: Sequence[Feed], plan: Plan) -> list[Result]:
    """The results of all sessions, in the order in which they ended. The same seed gives the same clients the same feeds and faults."""
    results: list[Result] = []
    deadline = time.perf_counter() + plan.seconds
    async with asyncio.TaskGroup() as group:
        for number in range(plan.clients):
            group.create_task(_client(target, feeds, plan, Random(f"{plan.seed}:{number}"), deadline, results))  # noqa: S311
    return results


async def _client(target: Target, feeds: Sequence[Feed], plan: Plan, rng: Random, deadline: float, results: list[Result]) -> None:
    await asyncio.sleep(min(late_start(feeds, rng), plan.seconds / 2))
    while time.perf_counter() < deadline:
        result = await _session(target, rng.choice(feeds), plan, rng)
        results.append(result)
        pause = rng.expovariate(1 / PAUSE)
        await asyncio.sleep(pause + (result.retry_after or 1.0) if result.refused else pause)


async def _session(target: Target, feed: Feed, plan: Plan, rng: Random) -> Result:
    drawn, share = rng.random(), rng.random()
    if drawn < plan.vanishing:
        return await vanish(target, feed, share)
    if drawn < plan.vanishing + plan.deaf:
        return await be_deaf(target, feed, plan.linger)
    return await behave(target, feed)
