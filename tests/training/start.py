"""One process of a run, started by a test: `start.py CONFIG.json`. With FSDP asked for, accelerate is told that a CPU may have shards."""

import os
import sys
from pathlib import Path
from typing import Any

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

from training import data
from training.config import Config
from training.run import train

data.WINDOW = 24
theirs = AcceleratorState.__init__


def sharding(self: AcceleratorState, *arguments: Any, **named: Any) -> None:
    """accelerate's own, but for the list of devices that it shards on."""
    theirs(self, *arguments, **named)
    if self.distributed_type is DistributedType.MULTI_CPU and named.get("fsdp_plugin"):
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, named["fsdp_plugin"]
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP


if os.environ.get("ACCELERATE_USE_FSDP"):
    AcceleratorState.__init__ = sharding

if __name__ == "__main__":
    config = Config.model_validate_json(Path(sys.argv[1]).read_bytes())
    train(config)
    known = AcceleratorState()
    (config.run.out / "kind").write_text(f"{known.distributed_type.value} {known.num_processes}")
