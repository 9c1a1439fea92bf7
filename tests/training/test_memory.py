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
def test_large_blocks_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    plain = faults("")
    if plain < 10_000:  # pages of 4 kB are 81,920
        pytest.skip("huge pages: little to see")
    assert faults("assert keep_freed()") < plain / 10


def test_what_the_environment_says_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1000000")
    assert not keep_freed()


@pytest.mark.parametrize("refusal", [AttributeError, OSError, TypeError])
def test_another_c_library_is_left_alone(refusal: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: None) -> None:
        raise refusal

    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr("ctypes.CDLL", refuse)
    assert not keep_freed()
