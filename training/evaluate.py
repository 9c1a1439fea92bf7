"""Loss on development data, in both views. Knows packed batches and a model; knows no optimizer."""

from collections.abc import Sequence

import torch
from torch import nn

from training.objective import Loss, judge
from training.views import Packed, collate

# One stream view is enough to see whether it learns, and always the same one.
LOSS = Loss(batch=True, mslm=True, spsd=False, views=1)


@torch.no_grad()
def evaluate(model: nn.Module, batches: Sequence[Sequence[Packed]], device: torch.device) -> tuple[float, float]:
    """Mean NLL per prediction, in nats, of the batch view and of the stream view, of batches packed for LOSS. The model trains on."""
    model.eval()
    batch, stream, predictions = 0.0, 0.0, 0
    for examples in batches:
        packed = collate(examples).to(device)
        found = judge(LOSS, model, packed)
        batch, stream, predictions = batch + float(found.batch), stream + float(found.mslm), predictions + found.predictions
    model.train()
    return batch / predictions, stream / predictions
