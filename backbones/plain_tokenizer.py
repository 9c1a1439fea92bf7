"""Changes a tokenizer's specification so that it reads any text as plain text, and tells where its pre-tokens end.

Knows the tokenizers library's JSON; knows nothing of streams, pieces or units.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tokenizers import Tokenizer

from errors import CheckpointError

_MARKER = "▁"
_BLANK_INSIDE = re.compile(rf"[^\s{_MARKER}]([\s{_MARKER}])")
_EDGE_INSIDE = re.compile(r"\S\s|\s\S")


def plain_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """Without what would cut, pad or randomise the tokens, and with those added tokens marked special that must stay plain text."""
    members = [*_members(spec["normalizer"]), *_members(spec["pre_tokenizer"])]
    # Such a prefix comes back after every added token, also in mid-text, where a later piece could not know of it.
    prefixed = any(m["type"] == "Prepend" or m.get("prepend_scheme") == "always" or m.get("add_prefix_space") for m in members)
    added = [
        # These reach into the text beside them. Phi-3's "</s>" is one: not special, so that a source could end the sequence.
        token
        | {"special": token["special"] or prefixed or token["lstrip"] or token["rstrip"] or bool(_EDGE_INSIDE.search(token["content"]))}
        for token in spec["added_tokens"]
    ]
    model = spec["model"] | ({"dropout": None} if "dropout" in spec["model"] else {})
    return spec | {"truncation": None, "padding": None, "post_processor": None, "added_tokens": added, "model": model}


def without_prefix(spec: dict[str, Any]) -> dict[str, Any]:
    """The tokenizer for text that does not start the text: it adds no leading marker or space."""
    normalizers = [member for member in _members(spec["normalizer"]) if member["type"] != "Prepend"]
    splitters = [
        # Behind another splitter these add their marker to every pre-token ("always"), which a later piece has as well.
        member | {"prepend_scheme": "never"}
        if member.get("prepend_scheme") == "first" or ("prepend_scheme" in member and not place)
        else member | {"add_prefix_space": False}
        if "add_prefix_space" in member and not place
        else member
        for place, member in enumerate(_members(spec["pre_tokenizer"]))
    ]
    if normalizers == _members(spec["normalizer"]) and splitters == _members(spec["pre_tokenizer"]):
        return spec
    return spec | {
        "normalizer": {"type": "Sequence", "normalizers": normalizers} if normalizers else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": splitters} if splitters else None,
    }


def _members(node: dict[str, Any] | None) -> list[dict[str, Any]]:
    if node is None:
        return []
    members: list[dict[str, Any]] = node.get("normalizers") or node.get("pretokenizers") or [node]
    return members


def build(spec: dict[str, Any]) -> Tokenizer:
    """A tokenizer of its own, to which special tokens in the text are plain text."""
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.encode_special_tokens = True
    return tokenizer


def splits_at_blanks(tokenizer: Tokenizer) -> bool:
    """Whether pre-tokens end at blanks of every kind. SentencePiece tokenizers split at U+0020 at most."""
    return len(pre_tokens(tokenizer, "a\nb")) > 1


def stops(tokenizer: Tokenizer, model: dict[str, Any]) -> frozenset[str]:
    """The blanks that no token has behind another character: no merge spans the edge before one, so the text can be cut there.

    Raises CheckpointError where U+0020 is not among them.
    """
    crossed = {char for token in tokenizer.get_vocab(with_added_tokens=False) for char in _BLANK_INSIDE.findall(token)}
    blanks = {char: "".join(pre_tokens(tokenizer, char))[:1] for char in map(chr, range(0x3001)) if char.isspace()}
    found = frozenset(char for char, first in blanks.items() if first and is_blank(first) and first not in crossed)
    if model.get("ignore_merges") or " " not in found:
        wanted = "a pre-tokenizer that splits at blanks, or a vocabulary without tokens that span a space (and no ignore_merges)"
        raise CheckpointError(f"expected {wanted}, got neither")
    return found


def pre_tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    """The pre-tokens of `text`, in the characters that the model's vocabulary spells them with."""
    normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
    splitter = tokenizer.pre_tokenizer
    return [part for part, _ in splitter.pre_tokenize_str(normal)] if splitter else [normal]


def is_blank(char: str) -> bool:
    """Whether `char`, of text or of a vocabulary's spelling, stands for whitespace."""
    return char == _MARKER or char.isspace()
