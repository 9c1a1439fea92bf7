"""A session whose source is heard: PCM in, audio tokens into its slot's rows, a decision point after every `decision_ms` of them.

What it writes, and at which phi, is a function of the samples alone, however they were cut. Where it may outlast its slot, a seam lies at a
pause, and nothing is carried over it (docs/streams.md). Knows the front end and the encoder's state; engine/hearing.py runs the encoder.
"""

from typing import ClassVar

import torch

from backbones.audio_encoder import AudioTokens, Piece
from backbones.audio_input import AudioInput, milliseconds
from backbones.audio_mel import MelFrames
from backbones.ctc_prefix import CtcPrefix
from backbones.loading import Checkpoint
from backbones.slots import Region
from engine.actions import AppendAudio, End, Message, Update
from engine.controller import Phase
from engine.pauses import Pauses
from engine.request import Settings
from engine.rollover import WORD_MS
from engine.session import Session
from engine.silence import SilenceGate
from errors import ProactiveError


class AudioSession(Session):
    """A decision point sees the audio tokens before it and no later one, whatever of the stream has come.

    steps: decision points of the slot so far. What comes between two of them is in the slot, but not in phi.
    """

    takes: ClassVar[type[Message]] = AppendAudio

    def __init__(self, checkpoint: Checkpoint, settings: Settings, region: Region) -> None:
        super().__init__(checkpoint, settings, region)
        encoder, form = checkpoint.encoder, settings.audio
        assert encoder is not None
        assert form is not None
        self._input = AudioInput(form, bins=encoder.config.bins, floor=encoder.config.mel_floor)
        self._state = encoder.open()
        self._every = checkpoint.config.decision_ms // encoder.config.token_ms  # audio tokens
        self.decision_units = checkpoint.config.decision_ms
        self._rate = form.rate
        self._token_ms = encoder.config.token_ms
        self._pauses = Pauses(self.rows.room[0], encoder.config.pool) if settings.rollover else None
        self._gate = SilenceGate(encoder.config.token_ms // 10) if settings.silence_gate else None
        self._frames = MelFrames(torch.zeros(0, encoder.config.bins), [])  # that the encoder has not had
        self._tokens = AudioTokens(torch.zeros(0, encoder.config.out), [], [])  # that are not released
        self._answering = self._ends = self._finished = False  # a message is being answered; it is the end; the encoder has had it
        self._given = 0  # frames that the encoder has had
        self._before = self._since = 0  # audio tokens before those released to the slot, and those; not all of them take rows
        self._seen = 0  # samples that the last one has seen
        self._steps = 0
        self._ctc = CtcPrefix(spoken) if settings.ctc_weight and (spoken := checkpoint.spoken) is not None else None

    # ---- for engine/hearing.py

    @property
    def unheard(self) -> bool:
        """True if the encoder has something to do."""
        if self.done or self._stop == self._given:
            return False
        return len(self._frames.seen) > 0 or (self._ends and not self._finished)

    @property
    def _next_seam(self) -> int | None:
        return self._pauses.seam if self._pauses is not None else None

    @property
    def _stop(self) -> int | None:
        """Frames up to the one that completes the last audio token before a seam: the encoder goes on behind it with a new window."""
        return None if self._next_seam is None else self._next_seam * self._token_ms // 10 + 1

    def piece(self, frames: int) -> Piece:
        """The next frames for the encoder, at most so many; answered by `hear`."""
        values, seen = self._frames.values, self._frames.seen
        if (stop := self._stop) is not None:
            frames = min(frames, stop - self._given)
        self._frames = MelFrames(values[frames:], seen[frames:])
        self._given += min(frames, len(seen))
        self._finished = self._ends and not self._frames.seen and self._given != stop
        return Piece(self._state, MelFrames(values[:frames], seen[:frames]), last=self._finished, cut=self._given == stop)

    def hear(self, tokens: AudioTokens) -> None:
        """What became of a piece."""
        self._tokens += tokens
        self._advance()

    # ---- source

    def _advance(self) -> None:
        """Goes on until a decision point, or until the encoder must go on first. Messages are answered one after the other."""
        while self.controller.phase is Phase.READING and not self.unheard:
            if self._tokens.seen:
                self._release()
            elif not self._answering:
                if not self._inbox:
                    return
                self._begin(self._inbox.popleft())
            elif self._ends:
                self._end()
            else:
                self._answering = False
                self._told.read()

    def _answer(self) -> None:
        """Not at a decision: a message may hold several, and is answered behind the last."""

    def _begin(self, message: Message) -> None:
        if isinstance(message, Update):
            self._update(message)
            return
        self._told.n += 1
        self._answering, self._ends = True, isinstance(message, End)
        try:
            self._frames = self._input.push(message.pcm) if isinstance(message, AppendAudio) else self._input.end()
        except ProactiveError as error:
            self.fail(error)
            return
        if self._gate is not None:
            self._gate.hear(self._frames.values)
        if self._pauses is not None:
            self._pauses.hear(self._frames.values)

    def _release(self) -> None:
        """Tokens into the slot, up to the next decision point or seam."""
        count = self._every - self._since % self._every
        if self._next_seam is not None:
            count = min(count, self._next_seam - self._heard)
        tokens, self._tokens = self._tokens.cut(count)
        if not self.rows.extend_heard(tokens.embeddings, [unit for unit, kept in enumerate(tokens.kept, start=self._since) if kept]):
            self._finish("context")
            return
        if self._ctc is not None:
            self._ctc.hear(tokens.embeddings)
        self._told.source_tokens += len(tokens.embeddings)
        self._since += len(tokens.seen)
        self._seen = tokens.seen[-1]
        self._steps += self._since % self._every == 0
        if self._heard == self._next_seam:
            self._reach_seam()
        elif self._since % self._every == 0 and self._something_to_decide:
            self.controller.release(self._phi_after(self._seen))

    @property
    def _something_to_decide(self) -> bool:
        """At a decision point: not where nobody speaks, nor where nothing of what was heard has reached the slot."""
        return self.rows.stream > 0 and (self._gate is None or self._gate.is_open(self._heard))

    @property
    def _heard(self) -> int:
        """Audio tokens of the stream so far."""
        return self._before + self._since

    def _end(self) -> None:
        """Behind the last sample everything is visible. Where nothing was said there is nothing to write."""
        self._answering = False
        self._steps += self._since % self._every > 0
        self.rows.end_source()
        self.controller.end_source(self._phi_after(self._input.consumed))
        if self._nothing_was_said:
            self._finish("end")

    @property
    def _nothing_was_said(self) -> bool:
        """In what the slot holds."""
        if self.seams and not self.rows.stream:
            return True
        return self._gate is not None and not self._gate.spoke(self._before, self._heard)

    def _phi_after(self, seen: int) -> int:
        """Milliseconds that so many samples add to phi."""
        return max(milliseconds(seen, self._rate) - self.controller.phi, 0)

    # ---- seams (engine/rollover.py)

    def _reach_seam(self) -> None:
        """What was said up to here is written first, if anything was, and has reached the slot."""
        if self._nothing_was_said or not self.rows.stream:
            self._roll_over()
        else:
            self.controller.release(self._phi_after(self._seen))
            self._cut_here()

    def _cut_here(self) -> None:
        self._write_the_rest(self._since * self._token_ms // WORD_MS)

    def _roll_over(self) -> None:
        """The slot begins again with nothing: which sounds the last sentence of the target stands for is not known."""
        assert self._pauses is not None
        self.seams.append(milliseconds(self._seen, self._rate))
        self.controller.begin_again(self.seams[-1])
        if self._heard == self._next_seam:  # and not where the target has filled its rows: the encoder may be further by then
            self._pauses.begin()
            self._state.restart()
        self._before, self._since = self._heard, 0
        self._words_before, self._steps = self.controller.words, 0
        self.history = torch.zeros(0)
        self.rows.restart((), 0)
        self._text.separate()
        if self._ctc is not None:
            self._ctc.restart()

    def _commit(self, token: int) -> None:
        super()._commit(token)
        if self._ctc is not None:
            self._ctc.write(token)

    # ---- what a decision sees

    def weighed(self, logits: torch.Tensor) -> torch.Tensor:
        """With CTC, where the task wants it."""
        if self._ctc is None:
            return logits
        return self._ctc.weigh(logits, self.settings.ctc_weight, self.end_tokens, ended=self.controller.everything)

    @property
    def visible(self) -> int:
        """Audio tokens that the slot knows of: all of them, at a decision point. What heads attend to, those left out by nothing."""
        return self._since

    @property
    def steps(self) -> int:
        """Decision points so far, those in silence too: what wait-k counts."""
        return self._steps
