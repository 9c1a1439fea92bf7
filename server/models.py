"""The models that are served: loads them once, makes an engine on each, and makes them again after a failure. In the device's thread.

Knows settings and engines; knows no session, no command and no event loop.
"""

import gc
import time
from collections.abc import Callable

import structlog
import torch

from backbones.loading import Checkpoint, load
from engine.engine import Engine, EngineConfig
from errors import BadStateError, UnknownNameError
from server.config import ServerConfig
from server.metrics import Metrics

log = structlog.get_logger()
Loader = Callable[[str, ServerConfig], Checkpoint]


def load_checkpoint(reference: str, config: ServerConfig) -> Checkpoint:
    """The default loader."""
    return load(reference, dtype=config.dtype, device=config.device, adapter=config.adapter, merge_adapter=config.merge_adapter)


class Models:
    """engines: by the model's name, in the order of the settings. Other threads look at it at any time: it is replaced, never changed."""

    def __init__(self, config: ServerConfig, metrics: Metrics, loader: Loader) -> None:
        self.engines: dict[str, Engine] = {}
        self._config, self._metrics, self._loader = config, metrics, loader
        self._checkpoints: dict[str, Checkpoint] = {}

    def load(self) -> None:
        """Raises what the loader and the engine raise, and BadStateError for two models of one name."""
        if self._config.threads:
            torch.set_num_threads(self._config.threads)
        for reference in self._config.model:
            started = time.monotonic()
            checkpoint = self._loader(reference, self._config)
            if checkpoint.name in self.engines:
                raise BadStateError(f"expected models of different names, got {checkpoint.name!r} twice", param="model")
            self._checkpoints[checkpoint.name] = checkpoint
            self._add(checkpoint)
            capacity = self.engines[checkpoint.name].capacity
            self._metrics.slots.labels(checkpoint.name).set(capacity.slots)
            log.info(
                "model.loaded",
                model=checkpoint.name,
                seconds=round(time.monotonic() - started, 2),
                dtype=str(checkpoint.backbone.shape.dtype).removeprefix("torch."),
                slots=capacity.slots,
                slot_length=capacity.slot_length,
                slot_bytes=capacity.slot_bytes,
                kv_bytes=capacity.slots * capacity.slot_bytes,
            )
        # Python collects cycles once they are a quarter of what was old at the last full collection, and a model's libraries are
        # 400,000 old objects: closed connections would pile up to tens of MB. So once more, when what is frozen no longer counts.
        gc.collect()
        gc.freeze()
        gc.collect()

    def make_again(self) -> None:
        """New engines on the loaded models, once the slots of the old ones are gone. Raises what the engine raises."""
        self.engines = {}
        gc.collect()
        for checkpoint in self._checkpoints.values():
            self._add(checkpoint)

    def _add(self, checkpoint: Checkpoint) -> None:
        engine = Engine(checkpoint, EngineConfig(self._config.kv_memory, self._config.slot_length, self._config.tick_tokens))
        engine.check_that_a_task_fits()
        engine.warm_up()
        self.engines = {**self.engines, checkpoint.name: engine}

    def find(self, model: str | None, task: str) -> Engine:
        """The named model, else the first that has the task. Raises UnknownNameError."""
        if model is not None:
            if model not in self.engines:
                raise UnknownNameError("model", model, self.engines)
            return self.engines[model]
        for engine in self.engines.values():
            if task in engine.checkpoint.config.tasks:
                return engine
        known = {name for engine in self.engines.values() for name in engine.checkpoint.config.tasks}
        raise UnknownNameError("task", task, known)
