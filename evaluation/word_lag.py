"""How long after a word was spoken it was written, where the recording says when each word ends. Knows one record at a time, no clock.

Computing takes no time here: a write happens at its phi, the ms of audio that had been consumed.
"""

from collections.abc import Sequence

import jiwer

from evaluation.answers import plain_words
from evaluation.record import Record


def lags(record: Record) -> list[float]:
    """ms from the end of each word of the reference to the write of its last character; of the words that were recognised.

    Words are aligned as for the word error rate, without case and punctuation. Below 0: written before its end was heard.
    """
    said, heard = record.references[0].split(), record.target.split()
    if not record.word_ends or len(record.word_ends) != len(said) or len(record.word_writes) != len(heard):
        return []
    aligned = jiwer.process_words(_plain(said), _plain(heard))
    pairs = [
        (chunk.ref_start_idx + place, chunk.hyp_start_idx + place)
        for chunk in aligned.alignments[0]
        if chunk.type == "equal"
        for place in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]
    return [float(record.word_writes[theirs] - record.word_ends[ours]) for ours, theirs in pairs]


def _plain(words: Sequence[str]) -> str:
    """As many words as there were: one that is punctuation alone stays."""
    return " ".join(plain_words(word) or word for word in words)
