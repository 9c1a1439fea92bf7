"""What one session tells: its events in order, and the counts that go with its end. Knows the controller's state; decides nothing."""

from collections.abc import Iterable

from engine.actions import Done, Event, Failure, Read, Reason, Update, Updated, Usage, Write
from engine.controller import Controller
from engine.rows import Rows
from engine.target_text import TargetText
from engine.trajectory import ail, rco
from errors import ProactiveError


class Telling:
    """n: the source message that is being answered; source_tokens, probes: how many so far, as `Usage` has them."""

    def __init__(self, controller: Controller, rows: Rows, text: TargetText) -> None:
        self.events: list[Event] = []
        self.n = self.source_tokens = self.probes = 0
        self.over = False
        self._controller, self._rows, self._text = controller, rows, text

    def read(self) -> None:
        """The message that is being answered is dealt with."""
        self.events.append(Read(self._controller.phi, self.n))

    def write(self, text: str) -> None:
        """Text that was released, if there is some."""
        if text:
            count, written = self._text.take_count(), len(self._controller.trajectory)
            self.events.append(Write(text, written - count, count, self._controller.trajectory[-1], self.n))

    def updated(self, stride: int) -> None:
        """The threshold that is in force."""
        self.events.append(Updated(self._controller.threshold, len(self._controller.trajectory), stride))

    def failed(self, error: ProactiveError) -> None:
        """The session cannot go on."""
        self.events.append(Failure(error, self.n))

    def finish(self, reason: Reason, waiting: Iterable[Update], stride: int) -> None:
        """The end, once. `waiting`: updates behind the source end, told here so that it does not show when they came."""
        if self.over:
            return
        self.over = True
        control = self._controller
        control.finish(reason)
        self.write(self._text.flush())
        for update in waiting if control.source_ended else ():
            control.threshold = update.threshold
            self.updated(stride)
        units = control.phi if control.source_ended else 0
        usage = Usage(
            prompt_tokens=self._rows.prefix + self._rows.header,
            source_tokens=self.source_tokens,
            source_units=control.phi,
            target_tokens=len(control.trajectory),
            probes=self.probes,
        )
        self.events.append(Done(self._text.sent, reason, usage, rco(control.trajectory, units), ail(control.trajectory, units)))
