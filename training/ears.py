"""The audio encoder that is trained: loaded, with a projector to the backbone's width, and what of it learns, and from whom.

Knows no backbone and no data.
"""

import torch
from pydantic import ValidationError

from backbones.audio_config import EncoderConfig, Projector
from backbones.audio_encoder import AudioEncoder
from backbones.audio_weights import build, load_encoder
from errors import InvalidValueError, first_fault
from training.config import Audio
from training.objective import Loss


def prepare(settings: Audio, own: str | None, embeddings: torch.Tensor, loss: Loss) -> AudioEncoder:
    """In float32. `own`: where the base's encoder is, if it hears; embeddings: [V, width] of the backbone.

    A projector that fits is trained further, else there is a new one with random weights from torch's generator, and with the scale of the
    embeddings: left free, it grew to 23 times theirs, next to which nothing that the layers add is seen (docs/log.md).
    Raises InvalidValueError where there is no encoder, or no blank to leave out, or one that is not CTC's, and CheckpointError where it
    cannot be read.
    """
    reference = settings.encoder or own
    if reference is None:
        raise InvalidValueError("expected an encoder for a base that does not hear", param="audio.encoder")
    encoder = load_encoder(reference)
    width = embeddings.shape[1]
    if encoder.config.projector is None or encoder.config.out != width:
        scale = round(float(embeddings.detach().float().square().mean().sqrt()), 4)
        encoder = _projected(encoder, Projector(out=width, hidden=settings.projector, scale=scale))
    assert encoder.config.projector is not None
    projector = _hears_as(encoder.config.projector, settings, loss, len(embeddings))
    encoder.config = _changed(encoder.config, projector, settings.block_ms)
    encoder.requires_grad_(settings.train == "all")
    encoder.embed_positions.requires_grad_(False)
    encoder.projector.requires_grad_(True)
    return encoder


def teacher(reference: str, encoder: AudioEncoder) -> AudioEncoder:
    """Frozen. Raises CheckpointError where it cannot be read, InvalidValueError where it does not hear what `encoder` does, or as wide."""
    found = load_encoder(reference)
    ours, theirs = ((one.bins, one.width, one.pool, one.mel_floor) for one in (encoder.config, found.config))
    if ours != theirs:
        raise InvalidValueError(
            f"expected a teacher with the encoder's bins, width, pool and mel_floor, {ours}; got {theirs}", param="audio.teacher"
        )
    return found


def _hears_as(projector: Projector, settings: Audio, loss: Loss, tokens: int) -> Projector:
    """What `posteriors` and `compress` say of it, or the base. What is left out is what CTC is trained to hear between `tokens` tokens."""
    posteriors = projector.posteriors if settings.posteriors is None else settings.posteriors
    if settings.compress is None:
        blank = projector.blank if posteriors else None
        if blank is not None and loss.ctc and loss.blank != blank:
            raise InvalidValueError(f"expected blank = {blank} in [loss], which the base leaves out; got {loss.blank}", param="loss.blank")
    elif not settings.compress:
        blank = None
    elif not posteriors:
        raise InvalidValueError("expected posteriors with compress; got none", param="audio.compress")
    elif (blank := loss.blank) is None:
        raise InvalidValueError("expected blank in [loss], the token that is to be left out, with compress; got none", param="loss.blank")
    if blank is not None and blank >= tokens:
        raise InvalidValueError(f"expected one of the {tokens} tokens as the blank that is left out; got {blank}", param="loss.blank")
    return projector.model_copy(update={"posteriors": posteriors, "blank": blank})


def _changed(config: EncoderConfig, projector: Projector, block_ms: int | None) -> EncoderConfig:
    block = config.block if block_ms is None else block_ms // 20
    try:
        return EncoderConfig.model_validate(config.model_dump() | {"projector": projector, "block": block})
    except ValidationError as error:
        fault = first_fault(error, "block")[1]
        raise InvalidValueError(f"expected block_ms that fits the encoder: {fault}", param="audio.block_ms") from None


def _projected(encoder: AudioEncoder, projector: Projector) -> AudioEncoder:
    made = AudioEncoder(encoder.config.model_copy(update={"projector": projector}))
    own = {name: tensor for name, tensor in made.state_dict().items() if name.startswith("projector.")}
    body = {name: tensor for name, tensor in encoder.state_dict().items() if not name.startswith("projector.")}
    return build(made.config, body | own)
