"""The three losses of the paper, and one for what is heard, a file each. Each is a sum over predictions."""
