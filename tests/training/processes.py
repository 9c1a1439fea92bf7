"""Runs a training in processes of its own, one or several. Knows start.py and no test."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from training.config import Config

ROOT = Path(__file__).parents[2]


def start(config: Config, file: Path, *, count: int, env: Mapping[str, str] | None = None) -> None:
    """`file` is where the processes find the configuration."""
    file.write_text(config.model_dump_json())
    many = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)] if count > 1 else []
    command = [sys.executable, *many, str(Path(__file__).with_name("start.py")), str(file)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {}), "PYTHONPATH": str(ROOT)}, check=True)
