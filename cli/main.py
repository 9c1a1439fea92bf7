"""The command `proactivellm`. Parses, calls, and turns errors into one line and an exit code; holds no logic of its own."""

import asyncio
import contextlib
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from pydantic import ValidationError

from cli.calibrate import calibrate
from cli.convert_whisper import convert_whisper
from cli.evaluate import evaluate
from cli.given import named
from cli.load import load
from cli.make_key import make_key
from cli.replay import replay
from cli.seams import seams
from cli.serve_ray import serve_ray
from cli.train import train
from errors import InvalidValueError, ProactiveError, UnknownNameError, in_our_words, visible

if TYPE_CHECKING:
    from cli.stream import Send

# Commands that need more than the server does, and the extra that brings it.
EXTRAS = {
    "evaluate": "evaluation",
    "seams": "evaluation",
    "calibrate": "evaluation",
    "score-delays": "evaluation",
    "train": "training",
    "serve-ray": "ray",
}

app = typer.Typer(
    help="ProactiveLLM: a streaming inference server in which a frozen language model decides by itself when to speak.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        print(f"proactivellm {version('proactivellm')}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """Holds what no subcommand does."""


@app.command()
def serve(  # noqa: PLR0913, PLR0917 (one a flag)
    model: Annotated[
        list[str] | None,
        typer.Option(help="Folder, .gguf file or hub name; repeat for several. [default: checkpoints/translate-en-de]", show_default=False),
    ] = None,
    adapter: Annotated[str | None, typer.Option(help="Folder with a LoRA for the one model.")] = None,
    merge_adapter: Annotated[
        bool | None,
        typer.Option("--merge-adapter/--no-merge-adapter", help="Add adapters to the weights. [default: merge]", show_default=False),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind. [default: 127.0.0.1]", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. [default: 8000]", show_default=False)] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with any of the settings.")] = None,
    kv_memory: Annotated[
        str | None, typer.Option(help="Memory for keys and values, per model. [default: 256MiB]", show_default=False)
    ] = None,
    slot_length: Annotated[
        int | None, typer.Option(help="Tokens a session may hold: prompt, source and target. [default: 2048]", show_default=False)
    ] = None,
    tick_tokens: Annotated[int | None, typer.Option(help="Tokens of one forward pass. [default: 256]", show_default=False)] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16. [default: auto]", show_default=False)] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, … [default: cpu]", show_default=False)] = None,
    threads: Annotated[int | None, typer.Option(help="Threads for torch. [default: torch's choice]", show_default=False)] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Bind beyond loopback although there are no keys.")] = False,
    api_keys_file: Annotated[
        Path | None, typer.Option(help="File of API keys, see make-key: who has none gets nothing. [default: no keys]", show_default=False)
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin of web pages that may connect; repeat for several. [default: the server's own]", show_default=False),
    ] = None,
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            help="Name by which a server without keys may be called; repeat for several. [default: localhost]", show_default=False
        ),
    ] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option(help="TLS: the private key, PEM.", show_default=False)] = None,
    ssl_certfile: Annotated[Path | None, typer.Option(help="TLS: the certificate, PEM.", show_default=False)] = None,
    resume_seconds: Annotated[
        float | None,
        typer.Option(help="Keep a session so long whose connection broke, for its client to come back. [default: 0]", show_default=False),
    ] = None,
    grace_seconds: Annotated[
        float | None, typer.Option(help="At a SIGTERM let sessions go on for so long. [default: 25]", show_default=False)
    ] = None,
    watchdog_seconds: Annotated[
        float | None, typer.Option(help="Unready once the device is stuck for so long. [default: 30]", show_default=False)
    ] = None,
    shed: Annotated[bool, typer.Option("--shed", help="Under load decide less often in sessions that allow it.")] = False,
    log_content: Annotated[
        bool, typer.Option("--log-content", help="Log what is streamed, which is nobody's business but the clients'.")
    ] = False,
    other: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting of server/config.py, name=value, such as session_seconds=600; repeat."),
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error. [default: info]", show_default=False)] = None,
    log_format: Annotated[
        str | None, typer.Option(help="json or text. [default: text on a terminal, else json]", show_default=False)
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(help="Record every session into this folder, its content included, up to record_limit; `replay` runs one again."),
    ] = None,
    simuleval: Annotated[
        str | None, typer.Option(help="Answer `simuleval --remote-eval` too: a task, or a session.start as JSON. Loopback only.")
    ] = None,
) -> None:
    """Serve one or more models over websockets.

    Every setting can also come from the environment (PROACTIVELLM_PORT=9000) or from --config; flags win, then the environment.
    """
    from server.config import read_config  # noqa: PLC0415 (torch takes seconds to import; --help must not)
    from server.serve import serve as run  # noqa: PLC0415

    flags: dict[str, Any] = {
        "model": model or None,
        "adapter": adapter,
        "merge_adapter": merge_adapter,
        "host": host,
        "port": port,
        "kv_memory": kv_memory,
        "slot_length": slot_length,
        "tick_tokens": tick_tokens,
        "dtype": dtype,
        "device": device,
        "threads": threads,
        "insecure": insecure or None,
        "api_keys_file": api_keys_file,
        "allow_origin": allow_origin or None,
        "allowed_hosts": allowed_hosts or None,
        "ssl_keyfile": ssl_keyfile,
        "ssl_certfile": ssl_certfile,
        "resume_seconds": resume_seconds,
        "grace_seconds": grace_seconds,
        "watchdog_seconds": watchdog_seconds,
        "shed": shed or None,
        "log_content": log_content or None,
        "log_level": log_level,
        "log_format": log_format,
        "record": record,
        "simuleval": simuleval,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    settings = read_config(config, **{**named(other or []), **given})
    raise typer.Exit(run(settings))


@app.command()
def stream(  # noqa: PLR0913, PLR0917 (one a flag)
    file: Annotated[str | None, typer.Argument(help="Text file, or - for standard input.")] = None,
    audio: Annotated[
        str | None,
        typer.Option(
            help="Sound instead of a text: a WAV, FLAC or Ogg file, - (pcm16, mono, on standard input), or mic.", show_default=False
        ),
    ] = None,
    audio_rate: Annotated[int, typer.Option(help="Hz of --audio - and mic.")] = 16_000,
    pace: Annotated[float, typer.Option(help="Seconds of --audio a second; 0: at once.", min=0)] = 1.0,
    silence_gate: Annotated[
        bool, typer.Option("--silence-gate/--no-silence-gate", help="No decisions while nobody speaks in --audio.")
    ] = True,
    task: Annotated[
        str | None, typer.Option(help="Task of the model; GET /v1/models lists them. [default: translate; transcribe]", show_default=False)
    ] = None,
    url: Annotated[str, typer.Option(help="The server.")] = "ws://127.0.0.1:8000",
    api_key: Annotated[
        str | None, typer.Option(help="API key; better $PROACTIVELLM_API_KEY, which no process list shows.", show_default=False)
    ] = None,
    tier: Annotated[str | None, typer.Option(help="Latency tier: low, medium or high.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Threshold, instead of a tier.")] = None,
    head: Annotated[str | None, typer.Option(help="Decision head. [default: the task's]", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(help="Model, where the server has several.")] = None,
    input: Annotated[list[str] | None, typer.Option(help="Input of the task, name=text; repeat for several.")] = None,  # noqa: A002
    instruction: Annotated[str | None, typer.Option(help="Prompt instead of the task's.")] = None,
    max_lag: Annotated[int | None, typer.Option(help="Force a write when the source is so many words, or ms of sound, ahead.")] = None,
    max_output_tokens: Annotated[int | None, typer.Option(help="End after so many tokens.")] = None,
    rollover: Annotated[
        bool, typer.Option("--rollover", help="Go on past the end of the slot, for hours of text or speech (docs/streams.md).")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the connection breaks, if the server keeps the session.")] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Where it cannot go on, begin again and send all again, perhaps to another server.")
    ] = False,
    rate: Annotated[float, typer.Option(help="Words a second; 0: as fast as they are read.", min=0)] = 4.0,
    decisions: Annotated[bool, typer.Option("--decisions", help="Show every decision and its score; needs --plain.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="One line an event instead of the live view.")] = False,
) -> None:
    """Stream a text word by word, or sound as it is recorded, and show source and target live, with phi under every written word."""
    flags: dict[str, Any] = {
        "tier": tier,
        "threshold": threshold,
        "head": head,
        "model": model,
        "input": input,
        "instruction": instruction,
        "max_lag": max_lag,
        "max_output_tokens": max_output_tokens,
        "include_decisions": decisions,
        "rollover": rollover or None,
    }
    from cli.stream import words  # noqa: PLC0415 (only what the command needs is imported)

    if (file is None) == (audio is None):
        raise InvalidValueError("expected a text file or --audio, got " + ("neither" if file is None else "both"), param="file")
    if audio is not None:
        from cli.stream_audio import open_sound  # noqa: PLC0415

        sound = open_sound(audio, audio_rate)
        flags["audio"] = sound.options(silence_gate=silence_gate)
        _show(
            url,
            task or "transcribe",
            flags,
            lambda session, view: sound.send(session, pace, view.heard),
            plain=plain,
            api_key=api_key,
            resume=resume,
            replay=replay,
        )
        return
    with _opened(str(file)) as text:
        _show(url, task or "translate", flags, words(text, rate), plain=plain, api_key=api_key, resume=resume, replay=replay)


@app.command()
def demo(
    what: Annotated[str, typer.Argument(help="translate, or answer: a question whose answer comes in mid-passage.")] = "translate",
    model: Annotated[str | None, typer.Option(help="Folder, .gguf file or hub name; default: the checkpoint for it.")] = None,
    tier: Annotated[str | None, typer.Option(help="Latency tier: low, medium or high. [default: the task's]", show_default=False)] = None,
    rate: Annotated[float, typer.Option(help="Words a second.", min=0)] = 4.0,
    plain: Annotated[bool, typer.Option("--plain", help="One line an event instead of the live view.")] = False,
) -> None:
    """Start a server, and stream a text through it: the target is written while the source still arrives."""
    from cli import demo as parts  # noqa: PLC0415 (only what the command needs is imported)
    from cli.stream import words  # noqa: PLC0415

    if what not in parts.DEMOS:
        raise UnknownNameError("demo", what, parts.DEMOS)
    shown = parts.DEMOS[what]
    print(f"Starting a server on {model or shown.model} …")
    with parts.serving(model or shown.model) as url:
        _show(url, shown.task, {"tier": tier, **shown.options}, words(shown.text(), rate), plain=plain)


app.command()(evaluate)
app.command()(calibrate)
app.command()(seams)
app.command()(train)
app.command()(make_key)
app.command()(replay)
app.command()(load)
app.command()(convert_whisper)
app.command("serve-ray")(serve_ray)


@app.command("score-delays")
def score_delays(
    file: Annotated[str, typer.Argument(help="JSONL: delays, source_length, reference_length, hypothesis_length; - for standard input.")],
) -> None:
    """Print RCO, AIL, AL, LAAL and DAL of every line, as one JSON object a line."""
    from cli.score_delays import score_delays as scored  # noqa: PLC0415 (only what the command needs is imported)

    with _opened(file) as lines:
        for line in scored(lines):
            print(line)


def _opened(file: str) -> contextlib.AbstractContextManager[TextIO]:
    if file == "-":
        from cli import standard_input  # noqa: PLC0415 (only what the command needs is imported)

        return contextlib.nullcontext(standard_input.text())
    try:
        return Path(file).open(encoding="utf-8")
    except OSError as error:
        raise InvalidValueError(f"expected a text file at {file!r}: {error.strerror}", param="file") from None


def _show(
    url: str,
    task: str,
    flags: dict[str, Any],
    send: "Send",
    *,
    plain: bool,
    api_key: str | None = None,
    resume: bool = False,
    replay: bool = False,
) -> None:
    from proactivellm_client import ClientError  # noqa: PLC0415 (serve needs no client)
    from rich.console import Console  # noqa: PLC0415 (only what the command needs is imported)

    from cli.stream import options, stream  # noqa: PLC0415
    from cli.stream_view import LiveView, PlainView  # noqa: PLC0415

    console, session = Console(), options(flags)
    try:
        if plain or not console.is_terminal:
            asyncio.run(stream(url, task, session, send, PlainView(console), api_key=api_key, resume=resume, replay=replay))
            return
        with LiveView(console, " · ".join(str(part) for part in (task, session.get("head"), session.get("tier")) if part)) as view:
            asyncio.run(stream(url, task, session, send, view, api_key=api_key, resume=resume, replay=replay))
    except ClientError as error:
        raise ProactiveError(str(error)) from error


def main() -> None:
    """Entry point: errors of ours become one line on standard error and exit code 2."""
    try:
        app()
    except ProactiveError as error:
        print(f"proactivellm: {visible(' '.join(error.message.split()))}", file=sys.stderr)  # it may hold a library's lines, or a server's
        sys.exit(2)
    except UnicodeDecodeError as error:
        print(f"proactivellm: expected text in UTF-8, got {error.reason} at byte {error.start}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if len(sys.argv) < 2 or sys.argv[1] not in EXTRAS:
            raise
        needed = f"pip install '.[{EXTRAS[sys.argv[1]]}]' ./clients/python"
        print(f"proactivellm: {sys.argv[1]} needs packages that serving does not: {needed} (no {error.name!r})", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            where = ".".join(str(part) for part in fault["loc"])
            print(f"proactivellm: {where}: {in_our_words(fault['msg'])}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
