"""`proactivellm replay`: flags to a session. Runs and shows nothing itself."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from errors import ProactiveError


def replay(
    file: Annotated[Path, typer.Argument(help="A recording that `serve --record` made.")],
    head: Annotated[str | None, typer.Option(help="Decision head. [default: the recorded one]", show_default=False)] = None,
    tier: Annotated[str | None, typer.Option(help="Latency tier. [default: the recorded one]", show_default=False)] = None,
    threshold: Annotated[float | None, typer.Option(help="Threshold, instead of a tier.")] = None,
    model: Annotated[str | None, typer.Option(help="Model. [default: the recorded choice]", show_default=False)] = None,
    url: Annotated[str, typer.Option(help="The server.")] = "ws://127.0.0.1:8000",
    speed: Annotated[float, typer.Option(help="Times the recorded pace; 0: as fast as it goes.", min=0)] = 1.0,
    api_key: Annotated[
        str | None, typer.Option(help="API key; better $PROACTIVELLM_API_KEY, which no process list shows.", show_default=False)
    ] = None,
) -> None:
    """Run a recorded session again under another head, tier or threshold, and show both side by side, with times."""
    from proactivellm_client import ClientError  # noqa: PLC0415 (only what the command needs is imported)
    from rich.console import Console  # noqa: PLC0415

    from cli.replay_session import Run, as_recorded, plan, run_again, side_by_side  # noqa: PLC0415
    from server.recording import read_recording  # noqa: PLC0415

    recording = read_recording(file)
    again = Run("again")
    options, messages = plan(recording, head=head, tier=tier, threshold=threshold, model=model)
    try:
        asyncio.run(run_again(url, options, messages, again, speed=speed, api_key=api_key))
    except ClientError as error:
        raise ProactiveError(str(error)) from error
    console = Console(highlight=False)
    console.print(side_by_side(as_recorded(recording), again, console.width))
