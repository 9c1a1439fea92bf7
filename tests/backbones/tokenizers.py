"""Small tokenizers with the pipelines of real model families, trained when first asked for.

Knows how the families normalise and split; their vocabularies are learnt from the few lines below.
"""

import json
from collections.abc import Callable
from functools import cache

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXT = """The dog sat. The dogs sat down! "Where is the dog?" she said; it wasn't there.\n\nThe end!\n\n
Hello world, hello again: 12 dogs, 345 cats and 2024 birds...\n  Two spaces  lead on.\n\tAnd a tab.\r\nCRLF too!\n
Der Hund saß auf der Straße. Größe, Übung, café, naïve, façade. L'été arrive déjà; où est-il?\n\n
Собака сидела на траве. Где собака? Привет, мир!\n\nΗ γάτα κοιμάται. Καλημέρα κόσμε!
世界 你好 世界你好 狗坐在草地上。 你好,世界! 今日は世界。 こんにちは世界 カタカナ テスト。
สวัสดีชาวโลก สุนัขนั่งอยู่ ສະບາຍດີ ជំរាបសួរ မင်္ဂလာပါ 안녕하세요 세계 개가 앉았다.
שלום עולם כלב مرحبا بالعالم كلب नमस्ते दुनिया कुत्ता 😀 👩‍👩‍👧 🐕 dog 🐕 dogs !!! ??? -- ==> (a) [b] {c}
"""
GPT2_REGEX = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2_REGEX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3_REGEX = QWEN2_REGEX.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
GPT4O_REGEX = QWEN2_REGEX.replace(r"+[\r\n]*|", r"+[\r\n/]*|")  # its tail: a slash may follow the line breaks
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def _byte_level(regex: str, normalizer: normalizers.Normalizer | None = None, *, ignore_merges: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    splits = [pre_tokenizers.Split(Regex(regex), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits)
    tokenizer.decoder = decoders.ByteLevel()
    # As real ones have it: it trims the blanks off the offsets, which the codec must not be misled by.
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([TEXT] * 3, trainer)
    return tokenizer


def _sentencepiece() -> Tokenizer:
    """Metaspace in training, so that merges stop at spaces: that is SentencePiece's split_by_whitespace."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=["<unk>", "<s>", "</s>", *_BYTES], limit_alphabet=120, show_progress=False)
    tokenizer.train_from_iterator([line for line in TEXT.replace("\t", " ").split("\n") if line] * 3, trainer)
    spec = json.loads(tokenizer.to_str())  # the trainer knows only special tokens, but bytes are plain vocabulary
    spec["added_tokens"] = [added for added in spec["added_tokens"] if added["content"] not in _BYTES]
    return Tokenizer.from_str(json.dumps(spec))


@cache
def gpt2() -> Tokenizer:
    """GPT-2's regex; no normaliser."""
    return _byte_level(GPT2_REGEX)


@cache
def qwen2() -> Tokenizer:
    """Qwen2's regex, behind NFC; line breaks belong to the punctuation before them."""
    return _byte_level(QWEN2_REGEX, normalizers.NFC())


@cache
def llama3() -> Tokenizer:
    """Llama 3's regex: digits by threes, and vocabulary entries taken whole."""
    return _byte_level(LLAMA3_REGEX, ignore_merges=True)


@cache
def gpt4o() -> Tokenizer:
    """A regex in which a pre-token may go on behind a line break."""
    return _byte_level(GPT4O_REGEX)


@cache
def neox() -> Tokenizer:
    """GPT-NeoX: runs of spaces are added tokens that are not special."""
    tokenizer = _byte_level(GPT2_REGEX, normalizers.NFC())
    tokenizer.add_tokens([AddedToken(" " * width, normalized=True) for width in (2, 3, 4)])
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False)])
    return tokenizer


@cache
def metaspace() -> Tokenizer:
    """SentencePiece as newer conversions spell it: Metaspace, a marker at the start of the text, bytes for unknown characters."""
    return _sentencepiece()


@cache
def llama2() -> Tokenizer:
    """SentencePiece as older conversions spell it: the marker comes from the normaliser, and nothing splits the text."""
    tokenizer = _sentencepiece()
    tokenizer.pre_tokenizer = None  # type: ignore[assignment]  # the stub omits the None that the library takes
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return tokenizer


@cache
def gemma() -> Tokenizer:
    """SentencePiece without a marker at the start, and a splitter that finds nothing to split after the normaliser."""
    tokenizer = _sentencepiece()
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def fast(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """In transformers' wrapping, which shares the object and changes its settings at every call."""
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


BYTE_LEVEL: dict[str, Callable[[], Tokenizer]] = {"gpt2": gpt2, "qwen2": qwen2, "llama3": llama3, "gpt4o": gpt4o, "neox": neox}
SENTENCEPIECE: dict[str, Callable[[], Tokenizer]] = {"metaspace": metaspace, "llama2": llama2, "gemma": gemma}
ALL = BYTE_LEVEL | SENTENCEPIECE
