"""audio_encoder.json: the shape of an audio encoder. Knows no weights."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from errors import CheckpointError, first_fault, in_our_words

CONFIG_FILE = "audio_encoder.json"


class Projector(BaseModel):
    """From the encoder's width to the backbone's, `out`: one linear layer, or with `hidden` an MLP (linear, GELU, linear).

    scale: root mean square that each token is brought to, such as that of the backbone's embeddings; None: as it comes
    posteriors: the backbone gets mixtures of its own embeddings in place of tokens (backbones/audio_posteriors.py)
    blank: with posteriors, the token that CTC hears between tokens: it, and a token's repeats, do not reach the backbone. None: all do
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    out: int = Field(ge=1)
    hidden: int | None = Field(default=None, ge=1)
    scale: float | None = Field(default=None, gt=0)
    posteriors: bool = False
    blank: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _blank_is_of_posteriors(self) -> Self:
        if self.blank is not None and not self.posteriors:
            raise ValueError(f"expected no blank without posteriors, got {self.blank}")
        return self


class EncoderConfig(BaseModel):
    """A Whisper encoder and what comes behind it.

    bins:           of the log-mel
    mel_floor:      of the running maximum (backbones/audio_mel.py); part of the checkpoint, as training must have used the same
    positions:      of the window, 20 ms each; even, as a pair is never split by a restart
    restart_after:  positions after which a pause restarts the window (backbones/audio_window.py)
    pool:           positions averaged into one audio token: 2 gives 40 ms
    block:          positions that wait for each other: each attends to the others of its block too, and to all before it. 1: the causal
                    mask. As long as the checkpoint's `decision_ms` (20 gives 400 ms), it costs no lag (docs/audio.md)
    projector:      None: tokens have the encoder's width
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[1] = 1
    bins: Literal[80, 128]
    mel_floor: float = 0.0
    width: int = Field(ge=1)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    ffn: int = Field(ge=1)
    positions: int = Field(default=1500, ge=2, multiple_of=2)
    restart_after: int = Field(default=1000, ge=1)
    pool: Literal[1, 2] = 2
    block: int = Field(default=1, ge=1)
    projector: Projector | None = None

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"expected width to be a multiple of heads, got {self.width} and {self.heads}")
        return self

    @model_validator(mode="after")
    def _blocks_fit(self) -> Self:
        if self.block > 1 and (self.block % self.pool or self.positions % self.block):
            raise ValueError(f"expected a block of whole tokens, and a window of whole blocks; got {self.block} of {self.positions}")
        return self

    @property
    def token_ms(self) -> int:
        """Of the stream that one audio token stands for."""
        return 20 * self.pool

    @property
    def block_ms(self) -> int:
        """Of the stream that a block stands for."""
        return 20 * self.block

    @property
    def out(self) -> int:
        """Width of an audio token."""
        return self.projector.out if self.projector else self.width

    @property
    def posteriors(self) -> bool:
        """Whether the backbone gets mixtures of its own embeddings."""
        return self.projector is not None and self.projector.posteriors

    @property
    def blank(self) -> int | None:
        """The token that does not reach the backbone, nor repeats of any."""
        return self.projector.blank if self.projector else None


def read_config(folder: Path) -> EncoderConfig:
    """Raises CheckpointError with the field at fault."""
    try:
        return EncoderConfig.model_validate_json((folder / CONFIG_FILE).read_bytes())
    except OSError as error:
        raise CheckpointError(f"expected {CONFIG_FILE} in {folder}: {error.strerror}") from None
    except ValidationError as error:
        where, told = first_fault(error, "file")
        raise CheckpointError(f"{CONFIG_FILE} in {folder.name}: {where}: {in_our_words(told)}", param=where) from None
