"""Settings of every test run."""

import torch

# Tiny models gain nothing from threads, and lose a factor of ten to them wherever another process is busy.
torch.set_num_threads(1)
