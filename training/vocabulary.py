"""A smaller vocabulary of the same byte-level BPE: its first merges, with the weights of the tokens that stay.

For what is heard: a few hours of speech say most of 1,000 tokens a hundred times each, and most of 8,192 hardly ever (docs/log.md).
Knows tokenizers and embeddings; knows no data.
"""

import json
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from errors import InvalidValueError


def shrink(model: Any, tokenizer: Any, size: int) -> Any:
    """The tokenizer of `size` tokens; the model's embeddings, and its ids of end tokens, are brought to it in place.

    Raises InvalidValueError for a tokenizer that is no BPE, and for a size below its single characters and special tokens or above its own.
    """
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    bpe = described["model"]
    if bpe["type"] != "BPE":
        raise InvalidValueError(f"expected a base with a BPE tokenizer; got {bpe['type']}", param="model.vocabulary")
    kept = _kept(bpe, {token["content"] for token in described["added_tokens"]}, size)
    rows = torch.tensor([bpe["vocab"][token] for token in kept])  # by new id, the old one
    renamed = {token: new for new, token in enumerate(kept)}
    bpe["merges"] = [pair for pair in bpe["merges"] if "".join(pair) in renamed]
    bpe["vocab"] = renamed
    special = [token for token in described["added_tokens"] if token["content"] in renamed]
    described["added_tokens"] = [{**token, "id": renamed[token["content"]]} for token in special]
    _select(model, rows)
    named = {name: token for name, token in tokenizer.special_tokens_map.items() if token in renamed}
    made = Tokenizer.from_str(json.dumps(described))
    return PreTrainedTokenizerFast(tokenizer_object=made, **named)  # type: ignore[no-untyped-call]


def _kept(bpe: dict[str, Any], added: set[str], size: int) -> list[str]:
    """Tokens in the order of their ids: special ones and single characters, then what merges make, the first merges first."""
    vocabulary = bpe["vocab"]
    kept = {token for token in vocabulary if token in added or len(token) == 1}
    least = len(kept)
    if not least <= size <= len(vocabulary):
        raise InvalidValueError(f"expected from {least} to {len(vocabulary)} tokens of the base; got {size}", param="model.vocabulary")
    for pair in bpe["merges"]:
        if len(kept) == size:
            break
        kept.add("".join(pair))
    return sorted(kept, key=lambda token: vocabulary[token])


def _select(model: Any, rows: torch.Tensor) -> None:
    layers = {id(layer.weight): layer for layer in (model.get_input_embeddings(), model.get_output_embeddings())}
    chosen = [layer.weight.detach()[rows] for layer in layers.values()]  # one of them where they are tied
    model.resize_token_embeddings(len(rows))
    with torch.no_grad():
        layers = {id(layer.weight): layer for layer in (model.get_input_embeddings(), model.get_output_embeddings())}
        for layer, weight in zip(layers.values(), chosen, strict=True):
            layer.weight.copy_(weight)
    news = {int(old): new for new, old in enumerate(rows)}
    for config in (model.config, model.generation_config):
        for name in ("eos_token_id", "bos_token_id", "pad_token_id"):
            old = getattr(config, name, None)
            ids = [news[one] for one in (old if isinstance(old, list) else [old]) if one in news]
            setattr(config, name, (ids if isinstance(old, list) else ids[0]) if ids else None)
