"""Settings of every test run."""

from __future__ import annotations

import torch

# One thread a process: sums are taken in one order, and tests that run side by side do not fight over the cores.
torch.set_num_threads(1)
