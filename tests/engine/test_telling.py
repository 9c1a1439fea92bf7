"""What a session tells: text with the tokens that it took, and one end, before which updates that waited are told."""

from backbones.slots import Region
from backbones.template import Frame
from engine.actions import Done, Read, Update, Updated, Write
from engine.controller import Candidate, Controller, Rules
from engine.rows import Rows
from engine.target_text import TargetText
from engine.telling import Telling


class Letters:
    """Token n is the n-th letter; behind some there is a mark."""

    pushed = False

    def push(self, token: int) -> str:
        self.pushed = True
        return chr(ord("a") + token)

    def flush(self) -> str:
        return "!" * self.pushed


def telling() -> tuple[Telling, Controller, TargetText]:
    control, text = Controller(Rules(max_output_tokens=9), 0.5), TargetText(Letters())
    rows = Rows(Region(base=0, mid=12, length=24), Frame((1,), (8,), (5, 6), frozenset({9})), (1, 2, 3))
    return Telling(control, rows, text), control, text


def test_writes_count_the_tokens_since_the_last_and_reads_say_which_message() -> None:
    told, control, text = telling()
    told.n = 4
    control.release(2)
    for token in (0, 1):
        control.decide(1.0, Candidate(ends=False, begins_word=True))
        released = text.push(token)
    told.write("")
    told.write("a" + released)
    told.read()
    assert told.events == [Write("ab", 0, 2, 2, 4), Read(2, 4)]


def test_there_is_one_end_and_what_waited_behind_the_source_end_comes_before_it() -> None:
    told, control, text = telling()
    control.end_source(3)
    control.decide(None, Candidate(ends=False, begins_word=True))
    told.write(text.push(2))
    told.source_tokens, told.probes = 5, 7
    told.finish("end", [Update(0.9)], stride=1)
    told.finish("error", [], stride=1)
    *_, flushed, updated, done = told.events
    assert isinstance(flushed, Write)
    assert (flushed.text, flushed.count) == ("!", 0)
    assert updated == Updated(0.9, 1, 1)
    assert isinstance(done, Done)
    assert (done.text, done.reason, done.rco, done.ail) == ("c!", "end", 1.0, 3.0)
    assert (done.usage.prompt_tokens, done.usage.source_tokens, done.usage.source_units, done.usage.probes) == (5, 5, 3, 7)


def test_a_session_that_is_cut_short_has_no_latency_and_tells_no_update() -> None:
    told, control, _ = telling()
    control.release(3)
    told.finish("cancelled", [Update(0.9)], stride=1)
    assert isinstance(told.events[-1], Done)
    assert (told.events[-1].rco, told.events[-1].ail) == (None, None)
    assert not any(isinstance(event, Updated) for event in told.events)
