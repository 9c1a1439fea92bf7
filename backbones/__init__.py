"""The frozen model: group positions, visibility masks, KV slots, text codecs, checkpoints. Knows no session."""
