"""`proactivellm load`: flags to a plan, and figures as a table or as JSON. Measures nothing itself."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from load.report import Report, Spread


def load(  # noqa: PLR0913, PLR0917 (one a flag)
    url: Annotated[str, typer.Argument(help="The server.")] = "ws://127.0.0.1:8000",
    task: Annotated[str, typer.Option(help="Task of the model; GET /v1/models lists them.")] = "translate",
    clients: Annotated[
        int | None, typer.Option(help="Clients at once. [default: 80% of the server's slots]", show_default=False, min=1)
    ] = None,
    duration: Annotated[float, typer.Option(help="Seconds in which sessions begin.", min=0.1)] = 60.0,
    rate: Annotated[float, typer.Option(help="Words a second of each client; 0: as fast as they are taken.", min=0)] = 4.0,
    source: Annotated[Path | None, typer.Option(help="File, one source a line. [default: eight of our own]", show_default=False)] = None,
    audio: Annotated[
        list[Path] | None, typer.Option(help="WAV, FLAC or Ogg file; repeat for several. With --source both are streamed.")
    ] = None,
    tier: Annotated[str | None, typer.Option(help="Latency tier: low, medium or high.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Threshold, instead of a tier.")] = None,
    head: Annotated[str | None, typer.Option(help="Decision head. [default: the task's]", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(help="Model, where the server has several.")] = None,
    input: Annotated[list[str] | None, typer.Option(help="Input of the task, name=text; repeat for several.")] = None,  # noqa: A002
    max_output_tokens: Annotated[int | None, typer.Option(help="End after so many tokens.")] = None,
    soak: Annotated[bool, typer.Option("--soak", help="Let clients misbehave, and check slots, memory and outputs at the end.")] = False,
    vanishing: Annotated[float, typer.Option(help="Soak: share of clients that vanish in mid-session.", min=0, max=1)] = 0.10,
    deaf: Annotated[float, typer.Option(help="Soak: share of clients that never read.", min=0, max=1)] = 0.05,
    linger: Annotated[float, typer.Option(help="Soak: seconds that a client that never reads goes on.", min=0)] = 30.0,
    memory_growth: Annotated[float, typer.Option(help="Soak: share by which the server's memory may grow.", min=0)] = 0.02,
    differing: Annotated[
        float, typer.Option(help="Soak: share of outputs that may differ from their solo run; 0 in float32.", min=0, max=1)
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Who streams what, and who misbehaves.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    api_key: Annotated[
        str | None, typer.Option(help="API key; better $PROACTIVELLM_API_KEY, which no process list shows.", show_default=False)
    ] = None,
) -> None:
    """Put a load of paced clients on a running server, and print what they waited. With --soak, exit code 1 if a check fails.

    docs/operating.md says what each figure is.
    """
    from cli.stream import options  # noqa: PLC0415 (only what the command needs is imported)
    from load.crowd import Plan  # noqa: PLC0415
    from load.feed import SOURCES, sound_feeds, text_feeds  # noqa: PLC0415
    from load.session import Target  # noqa: PLC0415

    flags: dict[str, Any] = {"tier": tier, "threshold": threshold, "head": head, "model": model, "input": input}
    target = Target(url, task, options({**flags, "max_output_tokens": max_output_tokens}), api_key)
    feeds = sound_feeds(audio or [])
    if source or not audio:
        feeds += text_feeds(_lines(source) if source else SOURCES, rate)
    faults = {"vanishing": vanishing, "deaf": deaf, "linger": linger} if soak else {}

    async def run() -> "Report":
        from load import soak as parts  # noqa: PLC0415
        from load.server import state  # noqa: PLC0415

        count = clients or max(1, round(0.8 * (await state(url, api_key)).slots))
        plan = Plan(count, duration, seed=seed, **faults)
        if soak:
            return await parts.soak(target, feeds, plan, memory_growth=memory_growth, differing=differing)
        return await parts.load(target, feeds, plan)

    found = asyncio.run(run())
    if as_json:
        print(json.dumps({**found.model_dump(mode="json"), "held": found.held}, indent=2))
    else:
        show(found)
    raise typer.Exit(0 if found.held else 1)


def _lines(file: Path) -> list[str]:
    from errors import InvalidValueError  # noqa: PLC0415

    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InvalidValueError(f"expected a text file at {str(file)!r}: {error.strerror}", param="source") from None


def show(found: "Report") -> None:
    """The figures for people."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console(highlight=False)
    table = Table("milliseconds", "count", "p50", "p95", "p99", "max", title=f"{found.clients} clients, {found.seconds:.0f} s")
    rows = {
        "time to first write": found.first_write,
        "lag of a write": found.lag,
        "done after the source end": found.final_after_end,
        "this tool sends late by": found.late,
    }
    for name, spread in rows.items():
        table.add_row(name, *_cells(spread))
    console.print(table)
    console.print("sessions: " + ", ".join(f"{count} {end}" for end, count in found.sessions.items()))
    heard = f"{found.sound_per_second:.1f} s of sound a second heard, " if found.sound_per_second else ""
    console.print(f"{found.words_per_second:.1f} words/s read, {heard}{found.tokens_per_second:.1f} tokens/s written")
    memory = " to ".join("?" if size is None else f"{size >> 20}" for size in found.memory)
    console.print(f"{found.slots} slots, {found.slots_in_use_after} in use afterwards; memory of the server {memory} MiB")
    for check in found.checks:
        console.print(f"[{'green' if check.held else 'red'}]{'held' if check.held else 'FAILED'}[/] {check.name}: {check.told}")


def _cells(spread: "Spread") -> list[str]:
    values = (spread.p50, spread.p95, spread.p99, spread.max)
    return [str(spread.count), *("-" if value is None else f"{1000 * value:.0f}" for value in values)]
