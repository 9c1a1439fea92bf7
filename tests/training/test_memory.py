"""What is freed stays with the process, where the C library can be told so."""

import ctypes
import subprocess
import sys

import pytest

from training.memory import keep_freed

FAULTS = """
import resource
import torch
from training.memory import keep_freed
{keep}
for _ in range(3):
    torch.ones(64 << 20)  # room for what follows, wherever the library puts it
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(16 << 20)  # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: str) -> int:
    """Pages that five large tensors, one after the other, get from the system: in a process of its own, as it is told for good."""
    done = subprocess.run([sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt")
def test_large_blocks_are_used_again() -> None:
    assert faults("assert keep_freed()") < faults("") / 10


@pytest.mark.parametrize("refusal", [AttributeError, OSError, TypeError])
def test_another_c_library_is_left_alone(refusal: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: None) -> None:
        raise refusal

    monkeypatch.setattr("ctypes.CDLL", refuse)
    assert not keep_freed()
