"""The three losses of the paper, one file each. Each returns a sum over predictions; the objective divides by their number."""
