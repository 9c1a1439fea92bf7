"""A smaller vocabulary says the same text, with the weights that its tokens had."""

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from errors import InvalidValueError
from tests import tiny
from training.vocabulary import shrink

SIZE = 300
TEXT = "the dog ran: don't wait 12 times, the über-dog"


@pytest.mark.parametrize("tied", [True, False])
def test_its_first_merges_stay_with_their_weights(*, tied: bool) -> None:
    tokenizer = tiny.checkpoint().tokenizer
    model = tiny.model("qwen2", vocab_size=len(tokenizer))
    model.config.tie_word_embeddings = tied
    model.tie_weights()
    model.config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.eos_token_id = [tokenizer.eos_token_id]
    before = [layer.weight.detach().clone() for layer in (model.get_input_embeddings(), model.get_output_embeddings())]
    small = shrink(model, tokenizer, SIZE)
    assert len(small) == model.config.vocab_size == SIZE < len(tokenizer)
    ids = small(TEXT, add_special_tokens=False).input_ids
    assert small.decode(ids) == TEXT
    assert len(tokenizer(TEXT, add_special_tokens=False).input_ids) < len(ids) < len(TEXT.encode())
    rows = torch.tensor(tokenizer.convert_tokens_to_ids(small.convert_ids_to_tokens(list(range(SIZE)))))
    for layer, was in zip((model.get_input_embeddings(), model.get_output_embeddings()), before, strict=True):
        assert torch.equal(layer.weight, was[rows])
    assert (model.lm_head.weight is model.get_input_embeddings().weight) == tied
    assert small.eos_token == tokenizer.eos_token
    assert model.config.eos_token_id == small.eos_token_id
    assert model.generation_config.eos_token_id == [small.eos_token_id]


def test_what_cannot_be_made_smaller_is_refused() -> None:
    tokenizer = tiny.checkpoint().tokenizer
    model = tiny.model("qwen2", vocab_size=len(tokenizer))
    for size in (100, len(tokenizer) + 1):
        with pytest.raises(InvalidValueError, match=rf"expected from \d+ to {len(tokenizer.get_vocab())} tokens of the base; got {size}"):
            shrink(model, tokenizer, size)
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"dog": 0})))
    with pytest.raises(InvalidValueError, match="expected a base with a BPE tokenizer; got WordLevel"):
        shrink(model, words, 1)
