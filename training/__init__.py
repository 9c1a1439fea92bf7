"""Training: makes a causal language model proactive, by the three losses of the paper. Imports backbones and tasks."""
