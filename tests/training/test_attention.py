"""Plain attention equals the fused one, and is what training takes on a CPU in bfloat16."""

import pytest
import torch

from tests import tiny
from training import attention


def masked(rows: int) -> torch.Tensor:
    """[2, 1, N, N] the rows of two sequences see themselves and some of the rows before."""
    torch.manual_seed(0)
    seen = torch.rand(2, 1, rows, rows) < 0.5
    return seen.tril() | torch.eye(rows, dtype=torch.bool)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_it_gives_what_the_fused_kernel_gives_with_its_gradients(family: str) -> None:
    fused, plain = (tiny.model(family, attn=name).double() for name in (attention.FUSED, attention.PLAIN))
    plain.load_state_dict(fused.state_dict())
    tokens, mask = torch.arange(2 * 12).view(2, 12) % 7, masked(12)
    ours, theirs = (model(input_ids=tokens, attention_mask=mask, use_cache=False).logits for model in (plain, fused))
    assert torch.allclose(ours, theirs, atol=1e-6)
    unmasked = fused(input_ids=tokens, use_cache=False).logits
    assert not torch.allclose(theirs, unmasked, atol=1e-3)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    for (name, mine), its in zip(plain.named_parameters(), fused.parameters(), strict=True):
        assert mine.grad is not None, name
        assert torch.allclose(mine.grad, its.grad, rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize(
    ("dtype", "cpu", "expected"),
    [
        (torch.bfloat16, True, attention.PLAIN),
        (torch.float32, True, attention.FUSED),
        (torch.bfloat16, False, attention.FUSED),
    ],
)
def test_a_cpu_in_bfloat16_takes_the_plain_one(dtype: torch.dtype, cpu: bool, expected: str) -> None:
    assert attention.choose(dtype, cpu=cpu) == expected
