"""A session whose source another model hears: a session of that one, its ear, writes down what is said, and this one reads it as text.

phi is in milliseconds: up to where the ear had heard when it wrote a word. What it writes is a function of the samples alone, and so is the
trajectory here. Knows the ear by what it tells; the engine runs both.
"""

from collections import deque
from typing import ClassVar

from backbones.loading import TRANSCRIBE, Checkpoint
from backbones.slots import Region
from engine.actions import AppendAudio, Decision, Done, Failure, Message, Read, Reason, Update, Write
from engine.audio_session import AudioSession
from engine.controller import Phase
from engine.request import Request, Settings
from engine.rollover import WORD_MS
from engine.session import Session


def to_hear(listener: Checkpoint, settings: Settings) -> Request:
    """The ear of a session with these settings: at its task's own tier, for as long as there is sound, if it may."""
    rollover = listener.config.tasks[TRANSCRIBE].may_roll_over
    return Request(TRANSCRIBE, audio=settings.audio, silence_gate=settings.silence_gate, rollover=rollover, decisions=True)


class ListeningSession(Session):
    """A decision point sees every word that the ear has written by then: one opens where it reads on, if a word was completed.

    Units, for the heads, are those words.
    """

    takes: ClassVar[type[Message]] = AppendAudio
    decision_units = WORD_MS

    def __init__(self, checkpoint: Checkpoint, settings: Settings, region: Region, ear: AudioSession) -> None:
        super().__init__(checkpoint, settings, region)
        self.ear = ear
        self._said: deque[tuple[str, int]] = deque()  # text, and the ear's phi
        self._saying, self._said_at = "", 0  # what the ear may still add to
        self._answering = self._waits = False  # a message is being answered; by the ear
        self._over: Reason | None = None

    def overhear(self) -> None:
        """Takes what the ear has told since the last time, and goes on."""
        told, self.ear.events[:] = list(self.ear.events), []
        for event in told:
            if isinstance(event, Write):
                if event.phi > self._said_at:
                    self._complete()
                self._saying, self._said_at = self._saying + event.text, event.phi
            elif isinstance(event, Read):
                self._waits = False
            elif isinstance(event, Failure):
                self.fail(event.error)
            elif isinstance(event, Done):
                self._complete()
                self._waits, self._over = False, event.reason
            elif isinstance(event, Decision) and event.action == "read":
                self._complete()
        self._advance()

    def _complete(self) -> None:
        """All that the ear writes of what it has heard up to a point is one piece: fewer decisions, and none on half of what is known."""
        if self._saying:
            self._said.append((self._saying, self._said_at))
        self._saying = ""

    def _advance(self) -> None:
        """Goes on until a decision point, or until the ear must go on first. Messages are answered one after the other."""
        while self.controller.phase is Phase.READING:
            if self._said:
                self._hear(*self._said.popleft())
            elif self._waits:
                return
            elif self._over is not None:
                self._end(self._over)
            elif self._answering:
                self._answering = False
                self._told.read()
            elif self._inbox:
                self._begin(self._inbox.popleft())
            else:
                return

    def _begin(self, message: Message) -> None:
        if isinstance(message, Update):
            self._update(message)
            return
        self._told.n += 1
        self._answering = self._waits = True
        self.ear.send(message)
        self.overhear()

    def _hear(self, text: str, phi: int) -> None:
        before = self._released
        if not self._extend(self._stream.append(text)):
            self._finish("context")
        elif self._released > before:
            self.controller.release(self._phi_after(phi))

    def _end(self, reason: Reason) -> None:
        """Where nothing was said there is nothing to write. An ear that ended by itself has no room for more."""
        if reason != "end" or not self._extend(self._stream.finish()):
            self._finish("context")
            return
        self.rows.end_source()
        self.controller.end_source(self._phi_after(self.ear.controller.phi))
        if not self.rows.stream:
            self._finish("end")

    def _phi_after(self, heard: int) -> int:
        return max(heard - self.controller.phi, 0)

    def _answer(self) -> None:
        """Not at a decision: a message may hold several, and is answered behind the last."""

    @property
    def visible(self) -> int:
        """Words in the slot: all of them, at a decision point."""
        return self._released
