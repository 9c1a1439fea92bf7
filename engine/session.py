"""One session: messages in, work for the runner, events out. Owns a slot's rows, both codecs and the controller.

What it emits is a function of its messages only. Knows nothing of other sessions, of ticks or of torch's device.
"""

from collections import deque
from typing import ClassVar

import torch

from backbones.layout import SourceRun, TargetRow, TargetRun
from backbones.loading import Checkpoint
from backbones.slots import Region
from backbones.source_codec import SourceUnits, count_units
from backbones.target_codec import TargetDecoder, backend
from engine import rollover
from engine.actions import Append, Decision, End, Message, Reason, Restrided, Update
from engine.controller import Candidate, Controller, Phase
from engine.request import Settings
from engine.rows import Rows
from engine.target_text import TargetText
from engine.telling import Telling
from errors import BadStateError, ProactiveError


class Session:
    """The state of one stream, between its slot and its client.

    seams: phi at each use of the slot again, in a session that may outlast it
    takes: the message that holds its source
    """

    takes: ClassVar[type[Message]] = Append
    decision_units = 1  # units between two decision points

    def __init__(self, checkpoint: Checkpoint, settings: Settings, region: Region) -> None:
        self.settings, self.region = settings, region
        self.stride = 1
        self.controller = Controller(settings.rules, settings.threshold)
        self.rows = Rows(region, checkpoint.frame, settings.prefix)
        self.seams: list[int] = []
        self.served = -1  # the scheduler's
        self.history = torch.zeros(0)  # [U] attention summed over committed tokens, for heads that need it
        self.word_starts = checkpoint.word_starts  # [V]
        self._frame = checkpoint.frame
        self._codec = checkpoint.codec
        self._tokenizer = backend(checkpoint.tokenizer)
        self._stream = checkpoint.codec.stream()
        self._text = TargetText(TargetDecoder(checkpoint.tokenizer), settings.stop)
        self._told = Telling(self.controller, self.rows, self._text)
        self.events = self._told.events
        self._inbox: deque[Message] = deque()
        self._speech = rollover.Speech() if settings.rollover and settings.audio is None else None
        self._rest: tuple[str, bool] | None = (
            None  # behind a seam in the message that is being answered: text, and whether it ends the source
        )
        self._released = 0  # units of the stream in the slot
        self._units_before = self._words_before = 0  # of source and target, before those in the slot
        self._sent_end = False

    # ---- messages

    def send(self, message: Message) -> None:
        """Queues a message. Raises BadStateError for source after the source end, and for source of another modality."""
        if not isinstance(message, self.takes | End | Update):
            raise BadStateError(f"expected {self.takes.__name__} as source, got {type(message).__name__}")
        if self._sent_end and not isinstance(message, Update):
            raise BadStateError("expected no source after the source end")
        self._sent_end = self._sent_end or isinstance(message, End)
        self._inbox.append(message)
        self._advance()

    def set_stride(self, stride: int) -> None:
        """A decision at every `stride`-th decision point only, from the next source on. For sessions that allow it: it comes by load."""
        if self.done or stride == self.stride:
            return
        self.stride = stride
        # Half of one less than so many: points of audio are not of equal length to the millisecond.
        self.controller.stride = (stride - 1) * self.decision_units + (self.decision_units + 1) // 2
        self.events.append(Restrided(self.controller.threshold, len(self.controller.trajectory), stride))

    def cancel(self) -> None:
        """Ends the session now, whatever is queued."""
        self._finish("cancelled")

    def fail(self, error: ProactiveError) -> None:
        """Ends the session with an error."""
        if not self.done:
            self._told.failed(error)
            self._finish("error")

    @property
    def done(self) -> bool:
        """True once `Done` was emitted: the slot may go."""
        return self.controller.phase is Phase.DONE

    @property
    def queued(self) -> int:
        """Messages that wait for those before them."""
        return len(self._inbox)

    def _advance(self) -> None:
        """Takes messages until one opens a decision point. Appends are decided one after the other, never merged."""
        while self.controller.phase is Phase.READING and (self._rest or self._inbox):
            if self._rest is None:
                message = self._inbox.popleft()
                if isinstance(message, Update):
                    self._update(message)
                    continue
                self._told.n += 1
                self._rest = (message.text, False) if isinstance(message, Append) else ("", True)
            (text, ends), self._rest = self._rest, None
            try:
                self._take(text, ends=ends)
            except ProactiveError as error:
                self.fail(error)

    def _update(self, update: Update) -> None:
        self.controller.threshold = update.threshold
        self._told.updated(self.stride)

    def _take(self, text: str, *, ends: bool) -> None:
        """Source: `text`, and the source's end behind it if it `ends`."""
        at = 0
        while at < len(text):
            piece, sentence_ended = self._next_piece(text, at)
            at += len(piece)
            held = self._held
            if not self._extend(self._stream.append(piece)):
                return self._overflow(held + piece + text[at:], ends=ends)
            if self._speech is not None and (self._holds_much or rollover.is_due(self._fill(), sentence_ended=sentence_ended)):
                return self._seam(text[at:], ends=ends, sentence_ended=sentence_ended)
        if not ends:
            if not self.controller.release(self._fresh()):
                self._answer()
            return None
        held = self._held
        if not self._extend(self._stream.finish()):
            return self._overflow(held, ends=True)
        self.rows.end_source()
        return self.controller.end_source(self._fresh())

    def _extend(self, released: SourceUnits) -> bool:
        """Adds to the stream; False where the slot cannot hold it and the source end too."""
        if not self.rows.extend(released):
            return False
        self._released = released.released
        counted = self.seams[-1] if self.seams else 0  # what is carried over a seam was counted before it
        self._told.source_tokens += sum(self._units_before + unit >= counted for unit in released.units)
        return True

    def _overflow(self, rest: str, *, ends: bool) -> None:
        """`rest` does not fit. It may where the slot is used again, unless that has just been done."""
        if self._speech is None or self._released <= self.rows.carried_units:
            self._finish("context")
        else:
            self._cut(rest, ends=ends)

    def _fresh(self) -> int:
        """Units that were released and do not count to phi yet. Those carried over a seam do."""
        return max(self._units_before + self._released - self.controller.phi, 0)

    # ---- seams (engine/rollover.py)

    def _next_piece(self, text: str, at: int) -> tuple[str, bool]:
        if self._speech is None:
            return text, False
        return self._speech.take(text, at, int(rollover.FULL * self.rows.room[0]) - self.rows.stream)

    def _fill(self) -> float:
        return rollover.fill((self.rows.stream, self.rows.written), self.rows.room)

    @property
    def _held(self) -> str:
        """Text whose tokens were not released; only asked where it may have to go over a seam."""
        return self._stream.held if self._speech is not None else ""

    @property
    def _holds_much(self) -> bool:
        return self._speech is not None and len(self._held) > rollover.longest(self.rows.room[0])

    def _seam(self, rest: str, *, ends: bool, sentence_ended: bool) -> None:
        """A seam before `rest`; behind a sentence if that is released to its last character."""
        held = self._held
        if not (sentence_ended or self._holds_much):
            self._cut(held + rest, ends=ends)
        elif not self._extend(self._stream.finish()):
            self._overflow(held + rest, ends=ends)
        elif sentence_ended:
            self._close(rest, ends=ends)
        else:
            self._cut(rest, ends=ends)

    def _cut(self, rest: str, *, ends: bool) -> None:
        """A seam between two words: no sentence is carried."""
        self._speech = rollover.Speech()
        self._close(rest, ends=ends)

    def _close(self, rest: str, *, ends: bool) -> None:
        """Begins a seam: what the slot holds counts as the whole source. `rest` waits until it is written about."""
        control = self.controller
        if control.phase is Phase.READING:
            control.release(self._fresh())
        self._rest = rest, ends
        self._write_the_rest(self.visible)

    def _write_the_rest(self, words: int) -> None:
        """What the slot holds, some `words` of source, counts as the whole: what is left to say of it is written."""
        self.rows.end_source()
        written = self.controller.words - self._words_before
        self.controller.close(rollover.forced_writes(words, written, self.rows.left))

    def _roll_over(self) -> None:
        """Ends a seam: the slot begins again with what is carried."""
        assert self._speech is not None
        control, codec = self.controller, self._codec
        target = self._tokenizer.decode(self.rows.target[len(self._frame.header) :], skip_special_tokens=True)
        carried = rollover.carry(
            self._speech.last, target, self.rows.room, source_tokens=lambda text: codec.encode(text).tokens, target_tokens=codec.plain
        )
        self.seams.append(control.phi)
        control.begin_again(control.phi)
        units = count_units(carried.source)
        self._units_before = control.phi - units
        self._words_before = control.words - sum(self.word_starts[token] or not place for place, token in enumerate(carried.target))
        self.history = torch.zeros(0)
        self.rows.restart(carried.target, units)
        if not carried.target:
            self._text.separate()
        self._stream = codec.stream()
        self._extend(self._stream.append(carried.source))

    # ---- work

    @property
    def pending(self) -> int:
        """Tokens that are not in the slot yet: of the source, and of what was carried over a seam."""
        return 0 if self.done else self.rows.pending

    @property
    def wants_probe(self) -> bool:
        """True at an open decision point; the probe may run once nothing is pending."""
        return self.controller.phase is Phase.DECIDING

    def feed(self, count: int) -> tuple[list[SourceRun | TargetRun], list[TargetRow]]:
        """The next `count` pending tokens, and the header's rows when the prompt becomes complete with them."""
        return self.rows.feed(count)

    def probe(self, *, attention: bool) -> TargetRow:
        """The newest target token, which asks what comes next. Its row is only kept if the next decision is WRITE."""
        self._told.probes += 1
        return self.rows.probe(self.visible if attention else None)

    @property
    def visible(self) -> int:
        """Units visible in the slot: phi, less what lies before the last seam. What heads see."""
        return self.controller.phi - self._units_before

    @property
    def steps(self) -> int:
        """What wait-k counts of the source: its words."""
        return self.visible

    def weighed(self, logits: torch.Tensor) -> torch.Tensor:
        """[V] -> [V]: the backbone's logits, with what else the session knows of the next token."""
        return logits

    def candidate(self, token: int) -> Candidate:
        """What the controller needs to know of a token."""
        begins = self.word_starts[token] or not self.rows.written
        return Candidate(ends=token in self._frame.end, begins_word=begins)

    def words_before(self, candidate: Candidate) -> int:
        """Target words in the slot begun before the one that the candidate belongs to."""
        return self.controller.words - self._words_before - (not candidate.begins_word and not candidate.ends)

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end the target."""
        return self._frame.end

    # ---- decisions

    def decide(self, score: float | None, token: int) -> bool:
        """READ or WRITE `token`; commits and emits. True if a content token was written, and the slot holds its row."""
        candidate = self.candidate(token)
        index, phi, n = len(self.controller.trajectory), self.controller.phi, self._told.n
        at_seam, seams = self.controller.closing is not None, len(self.seams)
        action, asked = self.controller.decide(score, candidate)
        if self.settings.decisions:
            self.events.append(Decision(asked, self.controller.threshold, action, phi, index, n))
        wrote = action == "write" and not candidate.ends
        if wrote:
            self._commit(token)
        if self._text.stopped:
            self._finish("stop")
        elif self.controller.reason is not None:
            self._finish(self.controller.reason)
        elif self.controller.phase is Phase.READING:
            self._roll_over() if at_seam else self._answer()
            self._advance()
        elif self.settings.rollover and not at_seam:
            self._bound()
        return wrote and len(self.seams) == seams

    def _answer(self) -> None:
        """The message that is being answered is dealt with."""
        self._told.read()

    def _bound(self) -> None:
        """A target that outgrows its rows is a seam too, and at the source end, where there is none, its end."""
        if not self.controller.source_ended and rollover.is_due(self._fill(), sentence_ended=False):
            self._cut_here()
        elif not self.rows.left:
            self._finish("length")

    def _cut_here(self) -> None:
        """A seam at a decision point."""
        self._cut(self._held, ends=False)

    def _commit(self, token: int) -> None:
        self.rows.target.append(token)
        self._told.write(self._text.push(token))

    def _finish(self, reason: Reason) -> None:
        self._told.finish(reason, [message for message in self._inbox if isinstance(message, Update)], self.stride)
