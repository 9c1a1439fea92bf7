"""The command `proactivellm`. Parses, calls, and turns errors into one line and an exit code; holds no logic of its own."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from errors import ProactiveError

app = typer.Typer(
    help="ProactiveLLM: a streaming inference server in which a frozen language model decides by itself when to speak.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Keeps `serve` a subcommand, however few there are."""


@app.command()
def serve(  # noqa: PLR0913, PLR0917 (one a flag)
    model: Annotated[
        list[str] | None,
        typer.Option(help="Folder, .gguf file or hub name; repeat for several. [default: checkpoints/smollm2]", show_default=False),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind. [default: 127.0.0.1]", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. [default: 8000]", show_default=False)] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with any of the settings.")] = None,
    kv_memory: Annotated[
        str | None, typer.Option(help="Memory for keys and values, per model. [default: 1GiB]", show_default=False)
    ] = None,
    slot_length: Annotated[
        int | None, typer.Option(help="Tokens a session may hold: prompt, source and target. [default: 2048]", show_default=False)
    ] = None,
    tick_tokens: Annotated[int | None, typer.Option(help="Tokens of one forward pass. [default: 256]", show_default=False)] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16. [default: auto]", show_default=False)] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, … [default: cpu]", show_default=False)] = None,
    threads: Annotated[int | None, typer.Option(help="Threads for torch. [default: torch's choice]", show_default=False)] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Bind beyond loopback although there are no keys.")] = False,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error. [default: info]", show_default=False)] = None,
) -> None:
    """Serve one or more models over websockets.

    Every setting can also come from the environment (PROACTIVELLM_PORT=9000) or from --config; flags win, then the environment.
    """
    from server.config import read_config  # noqa: PLC0415 (torch takes seconds to import; --help must not)
    from server.serve import serve as run  # noqa: PLC0415

    flags: dict[str, Any] = {
        "model": model or None,
        "host": host,
        "port": port,
        "kv_memory": kv_memory,
        "slot_length": slot_length,
        "tick_tokens": tick_tokens,
        "dtype": dtype,
        "device": device,
        "threads": threads,
        "insecure": insecure or None,
        "log_level": log_level,
    }
    settings = read_config(config, **{name: value for name, value in flags.items() if value is not None})
    raise typer.Exit(run(settings))


def main() -> None:
    """Entry point: errors of ours become one line on standard error and exit code 2."""
    try:
        app()
    except ProactiveError as error:
        print(f"proactivellm: {error.message}", file=sys.stderr)
        sys.exit(2)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            where = ".".join(str(part) for part in fault["loc"])
            print(f"proactivellm: {where}: {fault['msg']}", file=sys.stderr)
        sys.exit(2)
