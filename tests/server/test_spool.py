"""Files of recordings: who may read them, how much they take, and what a disk that fails costs."""

import errno
import os
import stat
from pathlib import Path

import pytest

from errors import InvalidValueError
from server.metrics import Metrics
from server.spool import MAX_WAITING, MAX_WAITING_BYTES, Spool


def name(number: int) -> str:
    return f"20260101T0000{number:02d}-{number:032x}.jsonl"


def lost(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("proactivellm_recording_lines_lost_total") or 0.0


def test_lines_land_in_order_in_files_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "recordings"
    metrics = Metrics()
    with Spool(folder, 1 << 20, metrics) as spool:
        for number in (1, 2):
            assert spool.put(name(number), "a\n", begins=True)
        assert spool.put(name(1), "b\n")
    assert (folder / name(1)).read_text() == "a\nb\n"
    assert stat.S_IMODE((folder / name(1)).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert metrics.registry.get_sample_value("proactivellm_recorded_bytes") == 6


def test_beyond_the_limit_the_oldest_go_those_of_before_the_start_first_and_no_other_file_ever(tmp_path: Path) -> None:
    (tmp_path / name(1)).write_text("x" * 60)
    (tmp_path / "0-precious.jsonl").write_text("x" * 1000)
    with Spool(tmp_path, 100, Metrics()) as spool:
        for number in (2, 3):
            spool.put(name(number), "y" * 40, begins=True)
        spool.put(name(3), "w" * 40)  # 2 is the oldest that is left
        spool.put(name(2), "z")  # of a file that is gone: not begun again in its middle
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0-precious.jsonl", name(3)]
    assert (tmp_path / name(3)).read_text() == "y" * 40 + "w" * 40


def test_nothing_is_deleted_for_a_line_that_is_not_kept(tmp_path: Path) -> None:
    cut = name(2).replace(".jsonl", ".cut.jsonl")
    metrics = Metrics()
    (tmp_path / name(9)).symlink_to("elsewhere")
    with Spool(tmp_path, 100, metrics) as spool:
        for number in (2, 3):
            spool.put(name(number), "y" * 40, begins=True)
        spool.put(name(2), "z" * 40)  # it is the oldest itself
        spool.put(name(2), "z")  # it was cut
        spool.put(name(4), "z" * 101, begins=True)  # longer than all may be
        spool.put(name(8), "z" * 40)  # of a file that is gone
        spool.put(name(9), "z" * 40, begins=True)  # cannot be made
    assert {file.name: file.read_text() for file in tmp_path.iterdir() if file.is_file()} == {
        cut: "y" * 40,
        name(3): "y" * 40,
        name(4).replace(".jsonl", ".cut.jsonl"): "",
    }
    assert lost(metrics) == 5
    with Spool(tmp_path, 100, Metrics()) as spool:
        spool.put(name(5), "x" * 50, begins=True)  # what was cut is as old as it was
    assert not (tmp_path / cut).exists()
    assert (tmp_path / name(3)).exists()


def test_a_cut_file_goes_when_its_time_comes(tmp_path: Path) -> None:
    with Spool(tmp_path, 100, Metrics()) as spool:
        for number in (2, 3):
            spool.put(name(number), "y" * 40, begins=True)
        spool.put(name(2), "z" * 40)
        spool.put(name(3), "w" * 40)
    assert [file.name for file in tmp_path.iterdir()] == [name(3)]


def test_a_file_that_cannot_be_deleted_still_takes_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlink(_: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    metrics = Metrics()
    monkeypatch.setattr("pathlib.Path.unlink", unlink)
    with Spool(tmp_path, 100, metrics) as spool:
        for number in range(2, 9):
            spool.put(name(number), "y" * 40, begins=True)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) == 80
    assert metrics.registry.get_sample_value("proactivellm_recorded_bytes") == 80


def test_a_full_disk_cuts_the_recording_at_a_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, real = Metrics(), os.write
    calls = iter([None, 2, errno.EIO])  # whole, part, error

    def write(file: int, data: bytes) -> int:
        how = next(calls, None)
        if how == errno.EIO:
            raise OSError(how, "Input/output error")
        return real(file, data if how is None else data[:how])

    monkeypatch.setattr("server.spool.os.write", write)
    with Spool(tmp_path, 1 << 20, metrics) as spool:
        spool.put(name(1), "whole\n", begins=True)
        spool.put(name(1), "in part\n")
        spool.put(name(1), "too late\n")
        spool.put(name(2), "broken\n", begins=True)
        spool.put(name(3), "again\n", begins=True)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        name(1).replace(".jsonl", ".cut.jsonl"): "whole\n",
        name(2).replace(".jsonl", ".cut.jsonl"): "",
        name(3): "again\n",
    }
    assert lost(metrics) == 3


def test_a_link_in_the_place_of_a_recording_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("precious")
    folder = tmp_path / "recordings"
    with Spool(folder, 1 << 20, Metrics()) as spool:
        (folder / name(1)).symlink_to(target)
        spool.put(name(1), "a\n", begins=True)
        spool.put(name(1), "b\n")
    assert target.read_text() == "precious"


def test_a_disk_that_hangs_costs_lines_and_no_memory(tmp_path: Path) -> None:
    metrics = Metrics()
    spool = Spool(tmp_path, 1 << 20, metrics)  # its thread is not started: nothing is ever taken
    taken = [spool.put(name(1), "a\n") for _ in range(MAX_WAITING + 5)]
    assert (sum(taken), lost(metrics)) == (MAX_WAITING, 5)


def test_a_disk_that_hangs_keeps_so_many_bytes_waiting_and_no_more(tmp_path: Path) -> None:
    metrics, line = Metrics(), "x" * (MAX_WAITING_BYTES // 4)
    spool = Spool(tmp_path, 1 << 30, metrics)
    assert [spool.put(name(1), line, begins=number == 0) for number in range(6)] == [True] * 4 + [False] * 2
    assert lost(metrics) == 2
    with spool:
        pass
    assert (tmp_path / name(1)).stat().st_size == MAX_WAITING_BYTES
    assert spool.put(name(1), line)  # what was written waits no more


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValueError, match="expected a folder for recordings"):
        Spool(tmp_path / "file", 1 << 20, Metrics())
