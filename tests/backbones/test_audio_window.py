"""Where windows restart: at a pause if there is one, when full in any case, whatever the loudness."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.audio_window import STRETCH, Window


def lengths(levels: list[int], positions: int = 150, earliest: int = 100) -> list[int]:
    """Of the windows that restarted."""
    window, found = Window(positions, earliest), []
    for level in levels:
        if window.due:
            found.append(window.filled)
            window.restart()
        window.hear(level)
    return found


def test_a_window_restarts_in_the_first_pause_after_the_earliest_position() -> None:
    speech = [500 + 20 * (i % 5) for i in range(150)]
    for begins in (20, 110):
        speech[begins : begins + 15] = [0] * 15
    # The stretch of 8 has to be mostly pause before it is quiet.
    assert 110 < lengths(speech)[0] <= 110 + STRETCH


def test_without_a_pause_it_restarts_when_it_is_full() -> None:
    ever_louder = list(range(0, 40_000, 100))
    assert lengths(ever_louder) == [150, 150]


def test_silence_restarts_as_soon_as_it_may() -> None:
    assert lengths([-1000] * 350) == [100, 100, 100]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), gain=st.integers(-3000, 3000))
def test_windows_have_their_bounds_and_do_not_depend_on_gain(seed: int, gain: int) -> None:
    rng = Random(seed)
    levels = [rng.randrange(1000) for _ in range(700)]
    found = lengths(levels)
    assert found
    assert all(100 <= length <= 150 for length in found)
    assert lengths([level + gain for level in levels]) == found
