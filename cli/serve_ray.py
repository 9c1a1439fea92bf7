"""`proactivellm serve-ray`: replicas of the server on Ray Serve, until told to stop. What is deployed, server/replicas.py says."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.given import named


def serve_ray(  # noqa: PLR0913, PLR0917 (one a flag)
    model: Annotated[list[str] | None, typer.Option(help="As of serve; each machine must find it.", show_default=False)] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind. [default: 127.0.0.1]", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="Port. [default: 8000]", show_default=False)] = None,
    replicas: Annotated[int, typer.Option(help="Replicas at the least; each holds the whole model.", min=1)] = 1,
    max_replicas: Annotated[
        int | None, typer.Option(help="Replicas at the most. [default: as at the least]", min=1, show_default=False)
    ] = None,
    sessions: Annotated[int, typer.Option(help="Open connections a replica above which another is started.", min=1)] = 16,
    upscale_delay: Annotated[float, typer.Option(help="Seconds above that before another is started.", min=0)] = 30.0,
    downscale_delay: Annotated[float, typer.Option(help="Seconds below that before one is taken away.", min=0)] = 600.0,
    address: Annotated[
        str, typer.Option(help="Ray cluster; auto: the one that `ray start` began here; local: one for as long as this runs.")
    ] = "local",
    config: Annotated[Path | None, typer.Option(help="TOML file with any of the server's settings.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, or cuda: one device a replica. [default: cpu]", show_default=False)] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Bind beyond loopback although there are no keys.")] = False,
    api_keys_file: Annotated[Path | None, typer.Option(help="As of serve; each machine must find it.", show_default=False)] = None,
    other: Annotated[list[str] | None, typer.Option("--set", help="Any other setting of server/config.py, name=value; repeat.")] = None,
) -> None:
    """Serve from several replicas, on one machine or many: Ray Serve before the same server as `serve`."""
    from server.config import read_config  # noqa: PLC0415 (torch takes seconds to import; --help must not)
    from server.replicas import Replicas  # noqa: PLC0415
    from server.serve_ray import serve_ray as run  # noqa: PLC0415

    flags: dict[str, Any] = {
        "model": model or None,
        "host": host,
        "port": port,
        "device": device,
        "insecure": insecure or None,
        "api_keys_file": api_keys_file,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    settings = read_config(config, **{**named(other or []), **given})
    number = Replicas(
        min_replicas=replicas,
        max_replicas=max_replicas or replicas,
        sessions=sessions,
        upscale_delay=upscale_delay,
        downscale_delay=downscale_delay,
    )
    run(settings, number, address)
