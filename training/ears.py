"""The audio encoder that is trained: loaded, with a projector to the backbone's width, and what of it learns.

Knows no backbone and no data.
"""

import torch

from backbones.audio_config import Projector
from backbones.audio_encoder import AudioEncoder
from backbones.audio_weights import build, load_encoder
from errors import InvalidValueError
from training.config import Audio


def prepare(settings: Audio, own: str | None, embeddings: torch.Tensor, blank: int | None = None) -> AudioEncoder:
    """In float32. `own`: where the base's encoder is, if it hears; embeddings: [V, width] of the backbone; blank: CTC's, of the loss.

    A projector that fits is trained further, else there is a new one with random weights from torch's generator, and with the scale of the
    embeddings: left free, it grew to 23 times theirs, next to which nothing that the layers add is seen (docs/log.md).
    Raises InvalidValueError where there is no encoder, or no blank to leave out, and CheckpointError where it cannot be read.
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
    projector = _hears_as(encoder.config.projector, settings, blank)
    encoder.config = encoder.config.model_copy(update={"projector": projector})
    encoder.requires_grad_(settings.train == "all")
    encoder.embed_positions.requires_grad_(False)
    encoder.projector.requires_grad_(True)
    return encoder


def _hears_as(projector: Projector, settings: Audio, blank: int | None) -> Projector:
    """What `posteriors` and `compress` say of it, or the base."""
    posteriors = projector.posteriors if settings.posteriors is None else settings.posteriors
    if not settings.compress:
        return projector.model_copy(update={"posteriors": posteriors, "blank": projector.blank if settings.compress is None else None})
    if not posteriors:
        raise InvalidValueError("expected posteriors with compress; got none", param="audio.compress")
    if blank is None:
        raise InvalidValueError("expected blank in [loss], the token that is to be left out, with compress; got none", param="loss.blank")
    return projector.model_copy(update={"posteriors": True, "blank": blank})


def _projected(encoder: AudioEncoder, projector: Projector) -> AudioEncoder:
    made = AudioEncoder(encoder.config.model_copy(update={"projector": projector}))
    own = {name: tensor for name, tensor in made.state_dict().items() if name.startswith("projector.")}
    body = {name: tensor for name, tensor in encoder.state_dict().items() if not name.startswith("projector.")}
    return build(made.config, body | own)
