"""From a configuration to a trained checkpoint: reads data, makes or loads the model, goes on where a run was left. Holds no loop."""

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from rich.console import Console
from transformers import AutoTokenizer
from transformers.utils import logging as transformers_logging

from backbones import loading
from errors import InvalidValueError
from tasks import DEFAULT_TASKS, Task
from tasks.data import data_hash
from training import attention, evaluate
from training.config import Audio, Config, Model, difference, lasting, restated
from training.data import Mixture, Part, Views, check, cut, read
from training.ears import prepare, teacher
from training.encoding import Encoder
from training.models import Trainee, learn_tokenizer, load_base, make_fresh
from training.objective import Loss
from training.sounds import Sounds
from training.state import latest, write_json
from training.trainer import Trainer
from training.views import Packed

RUN_FILE, TOKENIZER = "run.json", "tokenizer"


def train(config: Config, console: Console | None = None) -> Path:
    """Trains as configured, or goes on with the run in `run.out`. Returns the folder of the served checkpoint.

    Raises InvalidValueError for a row that cannot be trained on and for a run that was begun with another configuration, CheckpointError
    for a base that cannot be found or a checkpoint that cannot be written, TrainingError for a loss that is not finite.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it would be torn up by the run's own lines
    run = config.run
    if run.threads:
        torch.set_num_threads(run.threads)
    tasks = config.tasks or _tasks_of(config.model)
    parts, dev = ([read(settings, tasks) for settings in group] for group in (config.data, config.dev))
    if not config.loss.copies and not all(part.heard for part in parts):
        raise InvalidValueError(
            "expected recordings where loss.ctc and loss.hindsight are the only losses; got a data set of texts", param="loss"
        )
    cpu = run.device == "cpu" or not torch.cuda.is_available()
    dtype = arithmetic(run.dtype, cpu=cpu)
    accelerator = Accelerator(cpu=cpu, mixed_precision="bf16" if dtype is torch.bfloat16 else "no")
    with accelerator.main_process_first():
        _same_run(config, parts)
        trainee = _trainee(config, tasks, parts, dtype, attention.choose(dtype, cpu=cpu))
    encoder = Encoder(trainee.tokenizer, trainee.config, trainee.model.config.max_position_embeddings, _sounds(config, trainee))
    check([*parts, *dev], encoder)
    views = Views(config.loss, config.budget, trainee.config.offset)
    mixture = Mixture(parts, encoder, views, seed=run.seed, batch_tokens=run.batch_tokens, workers=run.workers)
    torch.manual_seed(run.seed + accelerator.process_index)
    return Trainer(config, accelerator, trainee, mixture, _judged(config, dev, encoder, views), console).run()


def arithmetic(name: str, *, cpu: bool) -> torch.dtype:
    """The dtype of `run.dtype`. `auto` is bfloat16 where the device multiplies it natively: elsewhere it takes up to ten times as long."""
    if name != "auto":
        chosen: torch.dtype = getattr(torch, name)
        return chosen
    if not cpu:
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def _tasks_of(model: Model) -> dict[str, Task]:
    return dict(loading.find(model.base).config.tasks) if model.base else dict(DEFAULT_TASKS)


def _same_run(config: Config, parts: Sequence[Part]) -> None:
    """Writes down what the run is, or refuses to go on with another's. Raises InvalidValueError naming the field that differs.

    Before its first checkpoint a run has nothing to lose: it is begun anew, such as with a bad row taken out of the data.
    """
    out = config.run.out
    path = out / RUN_FILE
    ours = lasting(config) | {"data_sha256": [data_hash(part.examples) for part in parts]}
    if path.exists():
        found = difference(ours, restated(json.loads(path.read_text(encoding="utf-8"))))
        if found is None:
            return
        if latest(out):
            raise InvalidValueError(
                f"expected the configuration that the run in {out} was begun with, or another run.out; {found}", param="run.out"
            )
    try:
        if not latest(out):
            shutil.rmtree(out / TOKENIZER, ignore_errors=True)
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, ours)
    except OSError as error:
        raise InvalidValueError(f"expected a folder that can be written at {out}: {error}", param="run.out") from None


def _trainee(config: Config, tasks: dict[str, Task], parts: Sequence[Part], dtype: torch.dtype, attention: str) -> Trainee:
    torch.manual_seed(config.run.seed)
    model = config.model
    if model.fresh:
        trainee = make_fresh(model, tasks, _tokenizer(config, parts), seed=config.run.seed, attention=attention)
    else:
        trainee = load_base(model, config.lora, config.tasks, dtype=dtype, attention=attention)
    trainee = _hearing(config, trainee)
    _check_weighed(config, trainee)
    _freeze_what_no_loss_reaches(config.loss, trainee)
    return checkpointed(trainee) if config.run.gradient_checkpointing else trainee


def _hearing(config: Config, trainee: Trainee) -> Trainee:
    """With the encoder that is asked for, or the base's."""
    own = loading.find(config.model.base).audio if config.model.base else None
    if own is None and config.audio is None:
        return trainee
    settings = config.audio or Audio()
    encoder = prepare(settings, own, trainee.model.get_input_embeddings().weight, config.loss)
    if config.model.vocabulary and settings.compress is None and encoder.config.blank is not None:
        raise InvalidValueError("expected compress and blank anew with a vocabulary, which numbers tokens anew", param="audio.compress")
    # The encoder is written beside the weights, wherever it came from.
    decision_ms, block_ms = settings.decision_ms or trainee.config.decision_ms, encoder.config.block_ms
    if decision_ms % block_ms:
        raise InvalidValueError(f"expected blocks that fit into decision_ms = {decision_ms}; got {block_ms} ms", param="audio.block_ms")
    given = {"unit": "ms", "audio": None, "decision_ms": decision_ms}
    known = None if settings.teacher is None else teacher(settings.teacher, encoder)
    return replace(trainee, encoder=encoder, teacher=known, config=trainee.config.model_copy(update=given))


def _freeze_what_no_loss_reaches(loss: Loss, trainee: Trainee) -> None:
    """Wrappers for several devices wait for the gradient of all that learns."""
    if loss.copies:
        return
    trainee.model.requires_grad_(False)
    if trainee.encoder is not None and not loss.ctc:
        trainee.encoder.projector.requires_grad_(False)


def _check_weighed(config: Config, trainee: Trainee) -> None:
    """What is trained must be what can be served: see `ctc_weight` in tasks/base.py."""
    encoder = trainee.encoder
    weighed = [name for name, task in trainee.config.tasks.items() if task.ctc_weight]
    if weighed and (encoder is None or encoder.config.posteriors or config.loss.blank is not None):
        raise InvalidValueError(
            f"expected an encoder without posteriors, and the end token as CTC's blank, with ctc_weight of the task {weighed[0]!r}",
            param="tasks",
        )


def _sounds(config: Config, trainee: Trainee) -> Sounds | None:
    if trainee.encoder is None:
        return None
    shape = trainee.encoder.config
    augmentation = (config.audio or Audio()).augmentation
    return Sounds(shape, every=trainee.config.decision_ms // shape.token_ms, augmentation=augmentation)


def checkpointed(trainee: Trainee) -> Trainee:
    """The same, but layers keep their inputs alone and are computed again in the backward pass: a third more time, far less memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # a name that is to go; the new one is not in every version we take
        trainee.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return trainee


def _tokenizer(config: Config, parts: Sequence[Part]) -> Any:
    """Learnt once a run: ties between merges may be broken in another order the next time."""
    folder = config.run.out / TOKENIZER
    if not folder.exists():
        assert config.model.fresh is not None
        assert config.model.template is not None
        made = folder.with_name(".tokenizer.partial")
        learn_tokenizer(config.model.fresh, config.model.template, _texts(parts)).save_pretrained(made)
        made.rename(folder)
    return AutoTokenizer.from_pretrained(folder)


def _texts(parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        for example in part.examples:
            yield part.task.render(example.inputs, example.prompt)
            yield example.source
            yield example.references[0]


def _judged(config: Config, dev: Sequence[Part], encoder: Encoder, views: Views) -> dict[str, list[list[Packed]]]:
    """The development data, packed once: every judgement is on the same views."""
    fixed = Views(evaluate.LOSS, views.budget, views.offset)
    judged = {}
    for part in dev:
        rng = np.random.default_rng(config.run.seed)
        items = [encoder.encode(example, part.task, part.settings.data) for example in part.examples]
        judged[f"{part.settings.task}:{part.settings.data}"] = cut([fixed.pack(item, rng) for item in items], config.run.batch_tokens)
    return judged
