"""`proactivellm convert-whisper` as somebody types it."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cli import main
from tests.backbones.ctranslate2 import whisper, write


def test_the_encoder_is_written_in_float16_and_loads_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(tmp_path, whisper())
    for source, out in ((tmp_path, tmp_path / "made"), (tmp_path / "made", tmp_path / "again")):
        monkeypatch.setattr(sys, "argv", ["proactivellm", "convert-whisper", str(source), str(out)])
        with pytest.raises(SystemExit) as left:
            main.main()
        assert left.value.code == 0
        assert "2 layers of width 32, 80 mel bins" in capsys.readouterr().out
    made, again = (load_file(tmp_path / name / "audio_encoder.safetensors") for name in ("made", "again"))
    assert all(tensor.dtype is torch.float16 for tensor in made.values())
    assert made.keys() == again.keys()
    assert all(torch.equal(made[name], again[name]) for name in made)
    assert torch.equal(made["layers.0.qkv.weight"], whisper()["encoder/layer_0/self_attention/linear_0/weight"])


def test_a_place_without_a_model_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["proactivellm", "convert-whisper", str(tmp_path), str(tmp_path / "out")])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("proactivellm: expected audio_encoder.json, model.bin or a Whisper model")
    assert not (tmp_path / "out").exists()
