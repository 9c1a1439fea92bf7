"""One session: messages in, work for the runner, events out. Owns a slot's region, both codecs and the controller.

What it emits is a function of its messages only. Knows nothing of other sessions, of ticks or of torch's device.
"""

from collections import deque

import torch

from backbones.layout import SourceRun, TargetRow, Units
from backbones.loading import Checkpoint
from backbones.slots import Region
from backbones.target_codec import TargetDecoder
from engine.actions import Append, Decision, Done, End, Event, Failure, Message, Read, Reason, Update, Updated, Usage, Write
from engine.controller import Candidate, Controller, Phase
from engine.request import Settings
from engine.target_text import TargetText
from engine.trajectory import ail, rco
from errors import BadStateError, ProactiveError


class Session:
    """The state of one stream, between its slot and its client.

    source: ids of the source group (prefix, stream, source end); the first `fed` of them are in the slot
    target: ids of the target group (header, target); the last one is the probe's token, the others are in the slot
    """

    def __init__(self, checkpoint: Checkpoint, settings: Settings, region: Region) -> None:
        self.settings, self.region = settings, region
        self.controller = Controller(settings.rules, settings.threshold)
        self.events: list[Event] = []
        self.served = -1  # the scheduler's
        self.history = torch.zeros(0)  # [U] attention summed over committed tokens, for heads that need it
        self.word_starts = checkpoint.word_starts  # [V]
        self._frame = checkpoint.frame
        self._stream = checkpoint.codec.stream()
        self._text = TargetText(TargetDecoder(checkpoint.tokenizer), settings.stop)
        self._inbox: deque[Message] = deque()
        self._prefix = len(settings.prefix)
        self._source = list(settings.prefix)
        self._unit = torch.zeros(region.source_capacity, dtype=torch.long)  # [rows] unit of each source row
        self._stream_tokens = 0
        self._fed = 0
        self._target = list(self._frame.header)
        self._header_done = len(self._target) == 1
        self._sent_end = False
        self._over = False
        self._n = 0
        self._probes = 0

    # ---- messages

    def send(self, message: Message) -> None:
        """Queues a message. Raises BadStateError for source after the source end."""
        if self._sent_end and not isinstance(message, Update):
            raise BadStateError("expected no source after the source end")
        self._sent_end = self._sent_end or isinstance(message, End)
        self._inbox.append(message)
        self._advance()

    def cancel(self) -> None:
        """Ends the session now, whatever is queued."""
        self._finish("cancelled")

    def fail(self, error: ProactiveError) -> None:
        """Ends the session with an error."""
        if not self.done:
            self.events.append(Failure(error, self._n))
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
        while self._inbox and self.controller.phase is Phase.READING:
            message = self._inbox.popleft()
            if isinstance(message, Update):
                self._update(message)
                continue
            self._n += 1
            try:
                self._append(message.text) if isinstance(message, Append) else self._end()
            except ProactiveError as error:
                self.fail(error)

    def _update(self, update: Update) -> None:
        self.controller.threshold = update.threshold
        self.events.append(Updated(update.threshold, len(self.controller.trajectory)))

    def _append(self, text: str) -> None:
        released = self._stream.append(text)
        if not self._extend(released.tokens, released.units):
            return
        if not self.controller.release(released.released - self.controller.phi):
            self.events.append(Read(self.controller.phi, self._n))

    def _end(self) -> None:
        released = self._stream.finish()
        if not self._extend(released.tokens, released.units):
            return
        self._source.extend(self._frame.source_end)
        self.controller.end_source(released.released - self.controller.phi)

    def _extend(self, tokens: tuple[int, ...], units: tuple[int, ...]) -> bool:
        """Adds stream tokens; a slot that cannot hold them and the source end too ends the session."""
        at = len(self._source)
        if at + len(tokens) + len(self._frame.source_end) > self.region.source_capacity:
            self._finish("context")
            return False
        self._source.extend(tokens)
        self._unit[at : at + len(units)] = torch.tensor(units, dtype=torch.long)
        self._stream_tokens += len(tokens)
        return True

    # ---- work

    @property
    def pending(self) -> int:
        """Source tokens that are not in the slot yet."""
        return 0 if self.done else len(self._source) - self._fed

    @property
    def wants_probe(self) -> bool:
        """True at an open decision point; the probe may run once nothing is pending."""
        return self.controller.phase is Phase.DECIDING

    def feed(self, count: int) -> tuple[SourceRun | None, list[TargetRow]]:
        """The next `count` pending source tokens, and the header's rows when the prompt becomes complete with them."""
        run = SourceRun(self.region, self._fed, self._source[self._fed : self._fed + count]) if count else None
        self._fed += count
        if self._header_done or self._fed < self._prefix:
            return run, []
        # Header rows before the last see the prompt only, whatever of the stream came with them.
        self._header_done = True
        return run, [TargetRow(self.region, i, token, visible=self._prefix) for i, token in enumerate(self._target[:-1])]

    def probe(self, *, attention: bool) -> TargetRow:
        """The newest target token, which asks what comes next. Its row is only kept if the next decision is WRITE."""
        self._probes += 1
        return TargetRow(
            self.region, len(self._target) - 1, self._target[-1], visible=self._fed, probe=True, units=self._units() if attention else None
        )

    def _units(self) -> Units:
        # Without a prompt the stream's first token is the sink, and is left out like a prompt's would be.
        first = max(self._prefix, 1)
        return Units(first, self._unit[first : self._prefix + self._stream_tokens], self.controller.phi)

    def candidate(self, token: int) -> Candidate:
        """What the controller needs to know of a token."""
        begins = self.word_starts[token] or not self.controller.trajectory
        return Candidate(ends=token in self._frame.end, begins_word=begins)

    def words_before(self, candidate: Candidate) -> int:
        """Target words begun before the one that the candidate belongs to."""
        return self.controller.words - (not candidate.begins_word and not candidate.ends)

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end the target."""
        return self._frame.end

    # ---- decisions

    def decide(self, score: float | None, token: int) -> bool:
        """READ or WRITE `token`; commits and emits. True if a content token was written."""
        candidate = self.candidate(token)
        index, phi, n = len(self.controller.trajectory), self.controller.phi, self._n
        action, asked = self.controller.decide(score, candidate)
        if self.settings.decisions:
            self.events.append(Decision(asked, self.controller.threshold, action, phi, index, n))
        if action == "read":
            self.events.append(Read(phi, n))
            self._advance()
            return False
        if not candidate.ends:
            self._commit(token)
        if self._text.stopped:
            self._finish("stop")
        elif self.controller.reason is not None:
            self._finish(self.controller.reason)
        return not candidate.ends

    def _commit(self, token: int) -> None:
        self._target.append(token)
        self._emit(self._text.push(token))

    def _emit(self, text: str) -> None:
        if text:
            count = self._text.take_count()
            written = len(self.controller.trajectory)
            self.events.append(Write(text, written - count, count, self.controller.trajectory[-1], self._n))

    def _finish(self, reason: Reason) -> None:
        if self._over:
            return
        self._over = True
        self.controller.finish(reason)
        self._emit(self._text.flush())
        control = self.controller
        if control.source_ended:
            # Told here, so that it does not show when they came. Only updates may wait behind the source end.
            for message in self._inbox:
                if isinstance(message, Update):
                    self._update(message)
        source_units = control.phi if control.source_ended else 0
        self.events.append(
            Done(
                text=self._text.sent,
                reason=reason,
                usage=self._usage(),
                rco=rco(control.trajectory, source_units),
                ail=ail(control.trajectory, source_units),
            )
        )

    def _usage(self) -> Usage:
        return Usage(
            prompt_tokens=self._prefix + len(self._frame.header),
            source_tokens=self._stream_tokens,
            source_units=self.controller.phi,
            target_tokens=len(self.controller.trajectory),
            probes=self._probes,
        )
