"""A folder of recordings: read as data, gone on with after a crash, refused where it is another's."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from errors import InvalidValueError
from recipes.recordings import Recording, Recordings, at_rate, put_together
from tasks import read_data
from tests.recipes.made import sound


def recording(number: int) -> Recording:
    return Recording(f"r:{number}", "ann", "one two", sound(number), (100, 200))


def test_what_is_written_is_data_for_training_and_evaluation(tmp_path: Path) -> None:
    written = Recordings(tmp_path, "train")
    for number in range(2):
        written.add(recording(number))
    first, second = read_data(str(tmp_path / "train.jsonl"), "transcribe")
    assert (first.id, first.cluster, first.references, first.word_ends) == ("r:0", "ann", ("one two",), (100, 200))
    assert second.audio is not None
    samples, rate = soundfile.read(second.audio)
    assert rate == 16_000
    np.testing.assert_allclose(samples, sound(1), atol=1e-4)
    assert written.seconds == pytest.approx(0.4)


def test_it_goes_on_where_it_was_left(tmp_path: Path) -> None:
    Recordings(tmp_path, "train").add(recording(0))
    rows = tmp_path / "train.jsonl"
    rows.write_text(rows.read_text(encoding="utf-8") + '{"id": "r:1", "aud', encoding="utf-8")  # cut off
    again = Recordings(tmp_path, "train")
    assert again.ids == {"r:0"}
    assert again.seconds == pytest.approx(0.2)
    again.add(recording(1))
    assert [example.id for example in read_data(str(rows), "transcribe")] == ["r:0", "r:1"]
    with pytest.raises(InvalidValueError, match="expected every id once; got 'r:1' again"):
        again.add(recording(1))


@pytest.mark.parametrize("line", ["{}", "[]", '{"id": "a", "audio": "none.flac"}', "x"])
def test_rows_of_something_else_are_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "train.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(InvalidValueError, match=r"train\.jsonl, line 1, to name a recording"):
        Recordings(tmp_path, "train")


def test_words_end_where_their_sound_does() -> None:
    samples, ends = put_together([sound(1, 0.2), sound(2, 0.3)], [0.1, 0.5, 0.25])
    assert ends == (300, 1100)
    assert len(samples) == 16 * (100 + 200 + 500 + 300 + 250)
    loud = np.flatnonzero(np.abs(samples) > 1e-3) / 16
    assert loud[0] == pytest.approx(100, abs=1)
    assert loud[-1] == pytest.approx(1100, abs=1)
    assert not np.any((loud > 301) & (loud < 799))


def test_rates_are_changed() -> None:
    assert len(at_rate(sound(1, 1.0, 8000), 8000)) == 16_000
    assert at_rate(sound(1), 16_000) is not None
