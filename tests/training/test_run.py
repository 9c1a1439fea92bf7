"""What is chosen before a run begins."""

import pytest
import torch

from training.run import arithmetic


@pytest.mark.parametrize(
    ("amx", "avx512", "chosen"), [(True, True, torch.bfloat16), (False, True, torch.bfloat16), (False, False, torch.float32)]
)
def test_auto_is_what_the_processor_multiplies_natively(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx512: bool, chosen: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert arithmetic("auto", cpu=True) is chosen
    assert arithmetic("float32", cpu=True) is torch.float32
    assert arithmetic("bfloat16", cpu=True) is torch.bfloat16
