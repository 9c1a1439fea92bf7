"""The training loop: packed forwards, the three losses, a cosine, checkpoints that a run goes on from to the same losses.

Knows how a step is made; what a view, a loss and a checkpoint are is known elsewhere.
"""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import islice
from math import isfinite
from pathlib import Path
from time import monotonic

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from rich.console import Console

from errors import CheckpointError, ProactiveError
from training import state
from training.config import Audio, Config
from training.data import Mixture
from training.evaluate import evaluate
from training.export import export, export_encoder
from training.models import Trainee
from training.objective import PackedModel, judge
from training.optimizers import SCALE, learning_rate, optimizers
from training.progress import Progress
from training.views import Packed, collate

WEIGHTS, OPTIMIZER, RANDOM, COUNTS = "weights.safetensors", "optimizer.safetensors", "random.safetensors", "counts.json"

NAMES = ("loss", "batch", "mslm", "spsd", "ctc", "hindsight")  # of what is told after a step


class TrainingError(ProactiveError):
    """Training cannot go on, such as with a loss that is not finite. The last checkpoint is a good one."""

    code = "training_failed"


class Trainer:
    """One run: `trainee` on `mixture`, judged on `dev` (batches of a batch and a stream view, by the name of their data set).

    Goes on from the newest checkpoint in the run's folder, if there is one.
    """

    def __init__(
        self,
        config: Config,
        accelerator: Accelerator,
        trainee: Trainee,
        mixture: Mixture,
        dev: dict[str, list[list[Packed]]],
        console: Console | None = None,
    ) -> None:
        self._config, self._accelerator, self._trainee, self._mixture, self._dev = config, accelerator, trainee, mixture, dev
        self._out = config.run.out
        self._step, self._tokens = 0, 0
        found = state.latest(self._out)
        packed = PackedModel(trainee.model, trainee.encoder, trainee.teacher, ctc=config.loss.ctc > 0).train()
        if found:
            packed.load_state_dict(state.read_tensors(found / WEIGHTS), strict=False)
        self._trained = {name for name, parameter in packed.named_parameters() if parameter.requires_grad}
        if config.run.compile:
            packed.compile(dynamic=True)  # no two batches have the same shape
        made = optimizers(packed, config.optimizer, encoder_lr=config.audio.lr if config.audio else 1.0)
        self._model, *self._optimizers = accelerator.prepare(packed, *made)
        if found:
            self._restore(found)
        self._progress = Progress(
            self._out if accelerator.is_main_process else None,
            console or Console(),
            step=self._step,
            done=self._done,
            every=config.run.log_steps,
        )

    def run(self) -> Path:
        """Trains to the end. Returns the folder of the served checkpoint.

        Raises TrainingError naming the batch whose loss is not finite, and CheckpointError where the last checkpoint cannot be written.
        """
        try:
            self._loop()
        finally:
            self._progress.close()
        return self._out / state.MODEL

    def _loop(self) -> None:
        run, saved = self._config.run, monotonic()
        while self._done < 1:
            self._one_step()
            last = self._done >= 1
            if self._dev and (last or self._step % run.dev_steps == 0):
                self._evaluate()
            due = monotonic() - saved > 60 * run.checkpoint_minutes or bool(run.checkpoint_steps and self._step % run.checkpoint_steps == 0)
            if last or self._agreed(due):
                self._save(last=last)
                saved = monotonic()

    @property
    def _done(self) -> float:
        """Share of the run that is behind."""
        run = self._config.run
        return self._step / run.steps if run.steps else self._tokens / (run.max_tokens or 1)

    # ---- a step

    def _one_step(self) -> None:
        ranks = self._accelerator.num_processes
        batches = list(islice(self._mixture, self._config.run.accumulation * ranks))
        predictions = sum(example.predictions for batch in batches for example in batch)
        mine = batches[self._accelerator.process_index :: ranks]
        sums = torch.zeros(len(NAMES))
        for batch in mine:
            # Gradients travel between devices once a step.
            with nullcontext() if batch is mine[-1] else self._accelerator.no_sync(self._model):
                sums += self._backward(batch, predictions)
        norm = float(self._accelerator.clip_grad_norm_(self._model.parameters(), self._config.optimizer.clip))
        self._check(norm, "norm of the gradient", batches)
        self._step += 1
        self._tokens += sum(example.text_tokens for batch in batches for example in batch)
        self._update()
        self._tell(self._over_devices(sums) / predictions, norm, batches)

    def _backward(self, batch: Sequence[Packed], predictions: int) -> torch.Tensor:
        """Adds the batch's gradients, of a loss that is a mean over the step's `predictions`. The sums of NAMES."""
        packed = collate(batch).to(self._accelerator.device)
        found = judge(self._config.loss, self._model, packed)
        self._check(float(found.total.detach()), "loss", [batch])
        # Wrappers for several devices average over them.
        self._accelerator.backward(found.total * (self._accelerator.num_processes / predictions))
        return torch.stack([found.total.detach(), *(getattr(found, name) for name in NAMES[1:])]).cpu()

    def _update(self) -> None:
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self._config.optimizer, self._done) * group.get(SCALE, 1.0)
            optimizer.step()
            optimizer.zero_grad()

    def _check(self, value: float, what: str, batches: Sequence[Sequence[Packed]]) -> None:
        if isfinite(value):
            return
        ids = ", ".join(example.id for batch in batches for example in batch)
        last = state.latest(self._out)
        stands = f"the last checkpoint, {last}, is from before" if last else "there is no checkpoint yet"
        raise TrainingError(f"expected a finite {what} at step {self._step + 1}; got {value} on the batch of {ids}; {stands}")

    def _tell(self, means: torch.Tensor, norm: float, batches: Sequence[Sequence[Packed]]) -> None:
        named = dict(zip(NAMES, means.tolist(), strict=True))
        switched_on = {"loss": True, **{name: getattr(self._config.loss, name) for name in NAMES[1:]}}
        numbers = {name: value for name, value in named.items() if switched_on[name]}
        numbers |= {"norm": norm, "lr": self._optimizers[0].param_groups[0]["lr"]}
        examples = [example for batch in batches for example in batch]
        tokens, rows = sum(example.text_tokens for example in examples), sum(map(len, examples))
        self._progress.step(self._step, numbers, tokens=tokens, rows=rows, done=self._done)

    def _evaluate(self) -> None:
        numbers: dict[str, float] = {}
        for name, batches in self._dev.items():
            batch, stream = evaluate(self._model, batches, self._accelerator.device)
            numbers |= {f"dev/{name}/batch": batch, f"dev/{name}/stream": stream}
        self._progress.write(self._step, numbers)
        self._progress.say(f"step {self._step} · " + " · ".join(f"{name} {value:.4f}" for name, value in numbers.items()))

    # ---- several devices

    def _over_devices(self, sums: torch.Tensor) -> torch.Tensor:
        if self._accelerator.num_processes == 1:
            return sums
        total: torch.Tensor = self._accelerator.reduce(sums.to(self._accelerator.device), "sum").cpu()
        return total

    def _agreed(self, due: bool) -> bool:
        """Clocks differ between processes, and all must save together: the first one's counts."""
        mine = torch.tensor([float(due and self._accelerator.is_main_process)])
        return bool(self._over_devices(mine)[0])

    # ---- checkpoints

    def _save(self, *, last: bool) -> None:
        whole = self._accelerator.get_state_dict(self._model)
        moments = state.optimizers_tensors(self._model, self._bare_optimizers)
        if not self._accelerator.is_main_process:
            return
        try:
            folder = state.save(self._out, self._step, lambda made: self._write(made, whole, moments), self._config.run.keep)
        except CheckpointError as error:
            if last:
                raise
            # Hours of training are worth more than this checkpoint: perhaps there is room for the next.
            self._progress.say(error.message)
        else:
            self._progress.say(f"step {self._step} · wrote {folder}")

    def _write(self, folder: Path, whole: dict[str, torch.Tensor], moments: dict[str, torch.Tensor]) -> None:
        state.write_tensors(folder / WEIGHTS, {name: whole[name] for name in self._trained})
        state.write_tensors(folder / OPTIMIZER, moments)
        state.write_tensors(folder / RANDOM, state.random_tensors())
        state.write_json(folder / COUNTS, {"step": self._step, "tokens": self._tokens, "mixture": self._mixture.state()})
        plain, heard = (_under(prefix, whole) for prefix in ("model.", "encoder."))
        merge = bool(self._config.lora and self._config.lora.merge)
        size = self._config.run.shard_size
        export(self._trainee, plain, folder / state.MODEL, merge=merge, shard_size=size)
        if heard:
            export_encoder(self._trainee, heard, folder / state.MODEL, dtype=(self._config.audio or Audio()).dtype, shard_size=size)

    @property
    def _bare_optimizers(self) -> list[torch.optim.Optimizer]:
        """Without accelerate's wrappers."""
        return [optimizer.optimizer for optimizer in self._optimizers]

    def _restore(self, found: Path) -> None:
        counts = json.loads((found / COUNTS).read_text(encoding="utf-8"))
        self._step, self._tokens = counts["step"], counts["tokens"]
        self._mixture.restore(counts["mixture"])
        state.restore_optimizers(self._model, self._bare_optimizers, state.read_tensors(found / OPTIMIZER))
        state.restore_random(state.read_tensors(found / RANDOM))


def _under(prefix: str, whole: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in whole.items() if name.startswith(prefix)}
