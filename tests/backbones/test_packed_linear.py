"""Packed weights give what plain ones give; models that they are not for are left alone."""

import pytest
import torch
from torch import nn

from backbones.backbone import Backbone
from backbones.layout import SourceRun, TargetRow
from backbones.packed_linear import PackedLinear, pack_linears
from tests import tiny

native = pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="no bfloat16 in this processor's oneDNN")


@native
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 17, 300])
def test_a_packed_layer_gives_what_a_plain_one_gives(bias: bool, rows: int) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(96, 160, bias=bias).bfloat16()
    x = torch.randn(1, rows, 96).bfloat16()
    with torch.inference_mode():
        exact = nn.functional.linear(x.float(), plain.weight.float(), plain.bias.float() if bias else None)
        off, packed_off = ((layer(x).float() - exact).abs().max() for layer in (plain, PackedLinear(plain)))
    assert packed_off <= 1.01 * off + 1e-3


@native
def test_a_packed_model_streams_as_the_plain_one_does() -> None:
    def logits(packed: bool) -> torch.Tensor:
        model = tiny.model("qwen2").bfloat16()
        if packed:
            pack_linears(model)
        assert any(isinstance(module, PackedLinear) for module in model.modules()) == packed
        backbone = Backbone(model)
        slots = backbone.slots(count=1, length=32)
        region = slots.acquire(8)
        out = backbone.forward(slots, [SourceRun(region, 0, [1, 2, 3, 4])], [TargetRow(region, 0, 9, visible=4, probe=True)])
        return out.logits[0].float()

    torch.testing.assert_close(logits(True), logits(False), atol=0.1, rtol=0.05)


def test_float32_models_are_left_as_they_are() -> None:
    model = tiny.model("qwen2")
    pack_linears(model)
    assert not any(isinstance(module, PackedLinear) for module in model.modules())


def test_a_processor_without_bfloat16_computes_it_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    model = tiny.model("qwen2").bfloat16()
    pack_linears(model)
    assert not any(isinstance(module, PackedLinear) for module in model.modules())
