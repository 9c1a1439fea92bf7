"""`proactivellm convert-whisper`: a Whisper model to a folder with its encoder alone. Knows no format itself."""

from pathlib import Path
from typing import Annotated

import typer


def convert_whisper(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="Folder with CTranslate2's model.bin (faster-whisper), Hugging Face folder or hub name.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write to; other files in it stay.")],
) -> None:
    """Take the encoder out of a Whisper model, as an audio encoder in float16.

    Writes audio_encoder.json and audio_encoder.safetensors. The weights are not changed: masking and streaming need no others.
    """
    import torch  # noqa: PLC0415 (seconds to import; --help must not)

    from backbones.audio_weights import load_encoder, save_encoder  # noqa: PLC0415

    encoder = load_encoder(source, dtype=torch.float16)
    save_encoder(encoder, out)
    shape = encoder.config
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    print(f"{out}: {shape.layers} layers of width {shape.width}, {shape.bins} mel bins, {parameters:,} parameters")
