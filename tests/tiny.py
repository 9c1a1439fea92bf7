"""Tiny random models and a checkpoint around one: the real engine runs with them in milliseconds. Knows no test."""

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

from backbones import attention
from backbones.audio_config import EncoderConfig, Projector
from backbones.audio_pcm import AudioFormat
from backbones.audio_posteriors import Vocabulary
from backbones.backbone import Backbone
from backbones.checkpoint import CheckpointConfig, Tier
from backbones.loading import Checkpoint
from backbones.source_codec import SourceCodec
from backbones.target_codec import word_starts
from backbones.template import split
from engine.actions import Append, End, Event, Message, Update
from engine.engine import Engine, EngineConfig, bytes_of_a_slot
from engine.request import Request
from engine.session import Session
from tasks import Input, Task
from tests.backbones import tokenizers
from tests.backbones.audio import encoder as random_encoder
from tests.backbones.audio import noise

FAMILIES = {"qwen2": Qwen2Config, "qwen3": Qwen3Config, "llama": LlamaConfig}
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TASKS = {
    "echo": Task(prompt="Say it again:\n", default_head="entropy", max_output_tokens=12),
    "ask": Task(
        prompt="{question}\n", inputs={"question": Input(description="the question")}, default_head="attention", max_output_tokens=12
    ),
    "words": Task(prompt="", default_head="wait_k", gate="word", forbid_end_before_source_end=True, max_output_tokens=12),
}
TIERS = {"echo": {"entropy": {"low": Tier(threshold=0.1, calibrated=False), "high": Tier(threshold=0.9, calibrated=False)}}}


def config(family: str, *, vocab_size: int = 64, positions: int = 512, layers: int = 3, tied: bool = False) -> Any:
    """A configuration with grouped queries and, in Qwen3's case, a head width of its own."""
    wide = {"head_dim": 16} if family == "qwen3" else {}
    return FAMILIES[family](
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        tie_word_embeddings=tied,
        initializer_range=0.4,  # large enough that what is attended to changes the next token
        **wide,
    )


def model(family: str, *, seed: int = 0, attn: str = attention.NAME, **changes: Any) -> Any:
    """Random float32 weights; the same seed gives the same weights whatever the attention."""
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config(family, **changes), attn_implementation=attn, dtype=torch.float32).eval()


@cache
def checkpoint(family: str = "qwen2", offset: int = 0) -> Checkpoint:
    """A tiny model behind a Qwen2-like tokenizer with a ChatML template."""
    tokenizer = tokenizers.fast(tokenizers.qwen2())
    tokenizer.chat_template = CHATML
    tokenizer.eos_token = "<|im_end|>"  # noqa: S105 (a token of text)
    vocab_size = len(tokenizer)
    starts = word_starts(tokenizer)
    return Checkpoint(
        name="tiny",
        backbone=Backbone(model(family, vocab_size=vocab_size), offset=offset),
        tokenizer=tokenizer,
        codec=SourceCodec(tokenizer),
        word_starts=starts,
        frame=split(tokenizer),
        config=CheckpointConfig(name="tiny", tasks=TASKS, offset=offset),
        tiers=TIERS,
    )


def memory(whole: Checkpoint, slots: int, length: int) -> int:
    """Bytes for exactly so many slots of so many rows."""
    return slots * bytes_of_a_slot(whole, length) + whole.backbone.shape.bytes_per_row()


def engine(slots: int = 8, length: int = 128, *, tick_tokens: int = 64, family: str = "qwen2", offset: int = 0) -> Engine:
    """An engine over `checkpoint` with exactly so many slots."""
    whole = checkpoint(family, offset)
    return Engine(whole, EngineConfig(kv_memory=memory(whole, slots, length), slot_length=length, tick_tokens=tick_tokens))


def words(text: str) -> list[Message]:
    """The text word by word, then its end."""
    return [*(Append(word + " ") for word in text.split()), End()]


def run(engine: Engine, request: Request, messages: list[Message]) -> list[Event]:
    """One session alone, all messages sent at once, to its end."""
    session = engine.open(request)
    for message in messages:
        if isinstance(message, Update) or not session.done:
            session.send(message)
    return finish(engine, session)


def finish(engine: Engine, session: Session) -> list[Event]:
    """Ticks until nothing is left to do; the session's events."""
    events = [event for owner, event in engine.emit() if owner is session]
    while engine.busy:
        events += [event for owner, event in engine.step() if owner is session]
    return events


HEARING = {
    "listen": Task(prompt="Write it down:\n", default_head="entropy", max_output_tokens=12),
    "late": Task(prompt="", default_head="wait_k", gate="word", forbid_end_before_source_end=True, max_output_tokens=12),
}
PROJECTOR = Projector(out=32, hidden=40)
ENCODER = EncoderConfig(bins=80, width=32, layers=2, heads=4, ffn=48, positions=96, restart_after=64, projector=PROJECTOR)
AUDIO = AudioFormat("pcm16", 16_000)
BLANK = 632  # what the random encoder takes noise for most often: one token in seven


@cache
def hearing(family: str = "qwen2", *, posteriors: bool = False, blank: int | None = None, block: int = 1) -> Checkpoint:
    """`checkpoint`, with a tiny random encoder in front of it. Its window is 2 s, so that restarts come. blank: with posteriors, BLANK."""
    plain = checkpoint(family)
    own = model(family, vocab_size=plain.backbone.vocab_size, positions=2048)
    projector = PROJECTOR.model_copy(update={"posteriors": posteriors, "blank": blank})
    window = {"block": block, "positions": ENCODER.positions // block * block}
    encoder = random_encoder(ENCODER.model_copy(update={"projector": projector, **window}))
    if posteriors:
        encoder.vocabulary = Vocabulary(own.get_output_embeddings().weight.detach(), own.get_input_embeddings().weight.detach(), blank)
    return replace(
        plain,
        name="hearing",
        backbone=Backbone(own),
        config=CheckpointConfig(name="hearing", unit="ms", tasks=HEARING),
        tiers={},
        encoder=encoder,
    )


def hearing_engine(
    slots: int = 8,
    length: int = 256,
    *,
    tick_tokens: int = 64,
    family: str = "qwen2",
    posteriors: bool = False,
    blank: int | None = None,
    block: int = 1,
) -> Engine:
    """An engine over `hearing` with exactly so many slots."""
    whole = hearing(family, posteriors=posteriors, blank=blank, block=block)
    return Engine(whole, EngineConfig(kv_memory=memory(whole, slots, length), slot_length=length, tick_tokens=tick_tokens))


def listening() -> Checkpoint:
    """`checkpoint`, with one that hears for it: that writes as many words as decision points went by."""
    task = Task(prompt="", default_head="wait_k", gate="word", forbid_end_before_source_end=True, max_output_tokens=64)
    heard = hearing(family="llama")
    listener = replace(heard, name="listener", config=CheckpointConfig(name="listener", unit="ms", tasks={"transcribe": task}))
    plain = checkpoint()
    return replace(plain, name="listening", config=plain.config.model_copy(update={"name": "listening", "unit": "ms"}), listener=listener)


def listening_engine(slots: int = 8, length: int = 512) -> Engine:
    """An engine over `listening` with exactly so many slots."""
    whole = listening()
    return Engine(whole, EngineConfig(kv_memory=memory(whole, slots, length), slot_length=length, tick_tokens=64))


def pcm16(samples: torch.Tensor) -> bytes:
    """float32 in [-1, 1] as the wire has it."""
    data: bytes = (samples.clamp(-1, 1) * 32_767).to(torch.int16).numpy().tobytes()
    return data


def sound(seconds: float, seed: int = 0) -> bytes:
    """Noise that comes and goes, pcm16 at 16 kHz."""
    return pcm16(noise(int(seconds * 16_000), seed))
