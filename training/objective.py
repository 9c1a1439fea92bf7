"""L = L_batch + L_MSLM + lambda KL(P_batch || P_stream) of one packed forward (ProactiveLLM).

Knows views and losses; the model only as something with a base model and an `lm_head`. Knows no optimizer and no device.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from backbones.audio_encoder import AudioEncoder
from backbones.audio_mel import MelFrames
from backbones.audio_posteriors import Vocabulary
from training.losses.batch_nll import batch_nll
from training.losses.ctc import ctc
from training.losses.hindsight import hindsight
from training.losses.mslm import mslm
from training.losses.spsd import spsd
from training.views import Batch, without


class Loss(BaseModel):
    """Which losses, and how. A plain stage is `batch` alone: then no stream view is packed.

    weight: lambda; top_k: tokens of the teacher that the KL looks at one by one; views: K, stream views per example
    ctc: weight of CTC on what is heard (losses/ctc.py), for a new encoder. Alone, it trains the encoder, and the backbone is not run
    hindsight: weight of what the encoder under the causal mask does not know of what `teacher` of [audio] hears (losses/hindsight.py).
        Alone, or with CTC alone, the backbone is not run
    blank: token that is heard between tokens; default: the end token. Another where rows that were never trained lie beside the end
        token's, as in SmolLM2: from such twins it cannot be told (docs/log.md)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    batch: bool = True
    mslm: bool = True
    spsd: bool = True
    weight: float = Field(default=0.1, ge=0, alias="lambda")
    top_k: int = Field(default=100, ge=1)
    views: int = Field(default=1, ge=1)
    ctc: float = Field(default=0.0, ge=0)
    hindsight: float = Field(default=0.0, ge=0)
    blank: int | None = Field(default=None, ge=0)

    @property
    def batch_view(self) -> bool:
        """Whether the batch view is packed: as a loss of its own, or as the teacher."""
        return self.batch or self.spsd

    @property
    def stream_views(self) -> int:
        """How many stream views are packed."""
        return self.views if self.mslm or self.spsd else 0

    @property
    def copies(self) -> int:
        """Copies of the target in a packed sequence."""
        return self.batch_view + self.stream_views


@dataclass(frozen=True)
class Losses:
    """Sums over `predictions` predictions, in nats; `total` is what is differentiated. A loss that is switched off is 0."""

    total: torch.Tensor
    batch: torch.Tensor
    mslm: torch.Tensor
    spsd: torch.Tensor
    ctc: torch.Tensor
    hindsight: torch.Tensor
    predictions: int


class Made(NamedTuple):
    """Of a forward. logits: [C, R, V]; aligned: CTC's scores, [T, V]; taught: what losses/hindsight.py looks at.

    None where there is nothing of it. A tuple, as wrappers for several devices look into those.
    """

    logits: torch.Tensor
    aligned: torch.Tensor | None = None
    taught: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None


class PackedModel(nn.Module):
    """A causal language model whose forward takes a packed batch, so that wrappers for several devices see one call.

    encoder: of a model that hears; teacher: another one, with full context; ctc: whether what is heard is scored as well, by `lm_head`
    """

    def __init__(self, model: Any, encoder: AudioEncoder | None = None, teacher: AudioEncoder | None = None, *, ctc: bool = False) -> None:
        super().__init__()
        self.model = model
        self.encoder = encoder
        self.teacher = teacher
        self._ctc = ctc
        # By this name accelerate asks what is to be one shard (FSDP).
        self._no_split_modules = getattr(model, "_no_split_modules", None)

    def forward(self, batch: Batch) -> Made:
        """`lm_head` runs on predicted rows only."""
        bare, taught = self._listened(batch)
        heard, aligned, kept = self._heard(batch, bare)
        if kept is not None:
            batch = without(batch, kept)
        if heard is not None and not len(batch.rows):
            return Made(heard.new_zeros(0, 0, 0), aligned, taught)
        hidden = self.model.base_model(
            **self._inputs(batch, heard), position_ids=batch.positions, attention_mask=batch.mask(), use_cache=False
        ).last_hidden_state  # [B, N, D]
        rows: torch.Tensor = self.model.lm_head(hidden.flatten(0, 1).index_select(0, batch.rows.flatten()))
        return Made(rows.view(*batch.rows.shape, -1), aligned, taught)

    def _listened(self, batch: Batch) -> tuple[torch.Tensor | None, tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None]:
        """[T, width] of all recordings, one after the other; beside what the teacher has of them, whom only training asks."""
        if not batch.mels:
            return None, None
        assert self.encoder is not None
        mels = [MelFrames(mel, range(len(mel))) for mel in batch.mels]
        bare = self.encoder.bare(mels)
        if self.teacher is None or not self.training:
            return bare, None
        with torch.no_grad():
            return bare, (bare, self.teacher.bare(mels, causal=False), self.teacher.layer_norm.weight.square())

    def _heard(self, batch: Batch, bare: torch.Tensor | None) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """What the backbone gets for recordings, one example after the other, [T, D] or of those that are kept; CTC's scores, [T, V]; and
        which ones are kept, [T]. None where there is nothing of it.

        What is heard is drawn to the rows of `lm_head`, embeddings where they are shared; for CTC these do not give way.
        """
        if bare is None:
            return None, None, None
        assert self.encoder is not None
        heard: torch.Tensor = self.encoder.projector(bare)
        config = self.encoder.config
        if not config.posteriors and not self._ctc:
            return heard, None, None
        vocabulary = Vocabulary(self.model.lm_head.weight.detach(), self.model.get_input_embeddings().weight, config.blank)
        scores = vocabulary.scores(heard)
        aligned = scores if self._ctc else None
        if not config.posteriors:
            return heard, aligned, None
        if config.blank is None:
            return vocabulary.mixed(scores), aligned, None
        kept = torch.cat([vocabulary.kept(part)[0] for part in torch.split(scores, [units for units in batch.units if units])])
        return vocabulary.mixed(scores[kept]), aligned, kept

    def _inputs(self, batch: Batch, heard: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Ids, or embeddings [B, N, D] where some of the sources are heard."""
        if heard is None:
            return {"input_ids": batch.tokens}
        embedded = self.model.get_input_embeddings()(batch.tokens)
        return {"inputs_embeds": embedded.flatten(0, 1).index_copy(0, batch.heard, heard.to(embedded.dtype)).view_as(embedded)}


def judge(loss: Loss, model: nn.Module, batch: Batch) -> Losses:
    """Of one forward of a PackedModel, or of what wraps one."""
    made: Made = model(batch)
    aligned = missed = None
    if loss.ctc and made.aligned is not None:
        aligned = ctc(_precise(made.aligned), batch.units, batch.said, batch.spelled, loss.blank)
    if loss.hindsight and made.taught is not None:
        missed = hindsight(*map(_precise, made.taught))
    return losses(loss, made.logits, batch.labels, aligned, missed)


def losses(
    loss: Loss, logits: torch.Tensor, labels: torch.Tensor, aligned: torch.Tensor | None = None, missed: torch.Tensor | None = None
) -> Losses:
    """Of logits [C, R, V], the batch view first if there is one, and labels [R]; aligned, missed: CTC and hindsight, as sums."""
    logits = _precise(logits)
    nothing = logits.new_zeros(())
    stream = logits[int(loss.batch_view) :]
    batch_part = batch_nll(logits[0], labels) if loss.batch else nothing
    mslm_part = mslm(stream, labels) if loss.mslm else nothing
    spsd_part = spsd(logits[0], stream, loss.top_k) if loss.spsd else nothing
    ctc_part = nothing if aligned is None else aligned
    hindsight_part = nothing if missed is None else missed
    total = batch_part + mslm_part + loss.weight * spsd_part + loss.ctc * ctc_part + loss.hindsight * hindsight_part
    return Losses(
        total,
        batch_part.detach(),
        mslm_part.detach(),
        spsd_part.detach(),
        ctc_part.detach(),
        hindsight_part.detach(),
        len(labels),
    )


def _precise(logits: torch.Tensor) -> torch.Tensor:
    """In float32 at least. Not in the model's forward: a wrapper that shards it in bfloat16 gives its output that dtype."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
