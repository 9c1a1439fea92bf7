"""A session whose source is heard: PCM in, audio tokens into its slot's rows, a decision point after every `decision_ms` of them.

What it writes, and at which phi, is a function of the samples alone, however they were cut. Knows the front end and the encoder's state;
engine/hearing.py runs the encoder.
"""

from typing import ClassVar

import torch

from backbones.audio_encoder import AudioTokens, Piece
from backbones.audio_input import AudioInput, milliseconds
from backbones.audio_mel import MelFrames
from backbones.loading import Checkpoint
from backbones.slots import Region
from engine.actions import AppendAudio, End, Message, Update
from engine.controller import Phase
from engine.request import Settings
from engine.session import Session
from engine.silence import SilenceGate
from errors import ProactiveError


class AudioSession(Session):
    """A decision point sees the audio tokens before it and no later one, whatever of the stream has come.

    steps: decision points so far. What comes between two of them is in the slot, but not in phi.
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
        self._gate = SilenceGate(encoder.config.token_ms // 10) if settings.silence_gate else None
        self._frames = MelFrames(torch.zeros(0, encoder.config.bins), [])  # that the encoder has not had
        self._tokens = AudioTokens(torch.zeros(0, encoder.config.out), [])  # that are not in the slot
        self._answering = self._ends = self._finished = False  # a message is being answered; it is the end; the encoder has had it
        self._steps = 0

    # ---- for engine/hearing.py

    @property
    def unheard(self) -> bool:
        """True if the encoder has something to do."""
        return not self.done and (len(self._frames.seen) > 0 or (self._ends and not self._finished))

    def piece(self, frames: int) -> Piece:
        """The next frames for the encoder, at most so many; answered by `hear`."""
        values, seen = self._frames.values, self._frames.seen
        self._frames = MelFrames(values[frames:], seen[frames:])
        self._finished = self._ends and not self._frames.seen
        return Piece(self._state, MelFrames(values[:frames], seen[:frames]), last=self._finished)

    def hear(self, tokens: AudioTokens) -> None:
        """What became of a piece."""
        self._add(tokens)
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

    def _add(self, tokens: AudioTokens) -> None:
        before = self._tokens
        self._tokens = AudioTokens(torch.cat((before.embeddings.to(tokens.embeddings), tokens.embeddings)), [*before.seen, *tokens.seen])

    def _release(self) -> None:
        """Tokens into the slot, up to the next decision point."""
        embeddings, seen = self._tokens.embeddings, self._tokens.seen
        count = min(self._every - self.rows.stream % self._every, len(seen))
        self._tokens = AudioTokens(embeddings[count:], seen[count:])
        if not self.rows.extend_heard(embeddings[:count]):
            self._finish("context")
            return
        self._told.source_tokens += count
        if self.rows.stream % self._every == 0:
            self._steps += 1
            if self._gate is None or self._gate.is_open(self.rows.stream):
                self.controller.release(self._phi_after(seen[count - 1]))

    def _end(self) -> None:
        """Behind the last sample everything is visible. Where nothing was said there is nothing to write."""
        self._answering = False
        self._steps += self.rows.stream % self._every > 0
        self.rows.end_source()
        self.controller.end_source(self._phi_after(self._input.consumed))
        if self._gate is not None and not self._gate.is_open(self.rows.stream) and not self._gate.spoken:
            self._finish("end")

    def _phi_after(self, seen: int) -> int:
        """Milliseconds that so many samples add to phi."""
        return max(milliseconds(seen, self._rate) - self.controller.phi, 0)

    # ---- what heads see

    @property
    def visible(self) -> int:
        """Audio tokens in the slot: all of them, at a decision point."""
        return self.rows.stream

    @property
    def steps(self) -> int:
        """Decision points so far, those in silence too: what wait-k counts."""
        return self._steps
