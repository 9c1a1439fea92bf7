"""The engine: sessions share one frozen model, tick by tick: schedule, forward, score, decide, commit, emit.

Runs in one thread and knows no event loop, no socket and no clock.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from backbones.loading import Checkpoint
from backbones.slots import KVSlots, Region
from engine import hearing, rollover
from engine.actions import Event, Verdict
from engine.audio_session import AudioSession
from engine.listening_session import ListeningSession, to_hear
from engine.request import NO_LIMIT, Request, Settings, resolve
from engine.runner import Probe, Runner, remember
from engine.scheduler import Scheduler, Turn
from engine.session import Session
from errors import CheckpointError, InvalidValueError, PromptTooLongError

WARM_TOKENS = 1024  # larger ticks are not made ready for


@dataclass(frozen=True)
class EngineConfig:
    """kv_memory: bytes for keys and values; slot_length: tokens a slot (prompt, source, target); tick_tokens: budget of one tick."""

    kv_memory: int = 1 << 30
    slot_length: int = 2048
    tick_tokens: int = 256


@dataclass(frozen=True)
class Capacity:
    """What the byte budget came to."""

    slots: int
    slot_length: int
    slot_bytes: int


@dataclass(frozen=True)
class Tick:
    """What one tick was, for whoever measures: its sessions, its tokens of source and probes, its decisions by head."""

    sessions: int = 0
    tokens: int = 0
    decisions: Counter[tuple[str, Verdict]] = field(default_factory=Counter)


def rows_of_a_slot(checkpoint: Checkpoint, slot_length: int) -> int:
    """As many as are asked for, and as the model has positions for."""
    return min(slot_length, checkpoint.backbone.max_positions - checkpoint.backbone.offset)


def bytes_of_a_slot(checkpoint: Checkpoint, slot_length: int) -> int:
    """Each may hear, and then has an encoder's keys and values too, or a slot of the model that hears for it."""
    rows = rows_of_a_slot(checkpoint, slot_length) * checkpoint.backbone.shape.bytes_per_row()
    heard = checkpoint.encoder.state_bytes if checkpoint.encoder is not None else 0
    return rows + heard + (bytes_of_a_slot(checkpoint.listener, slot_length) if checkpoint.listener is not None else 0)


class Engine:
    """All sessions of one model. Raises CheckpointError or InvalidValueError where model and budget do not go together."""

    def __init__(self, checkpoint: Checkpoint, config: EngineConfig | None = None) -> None:
        config = config or EngineConfig()
        backbone = checkpoint.backbone
        length = rows_of_a_slot(checkpoint, config.slot_length)
        if length < 2:
            raise CheckpointError(f"expected an offset below {backbone.max_positions} positions, got {backbone.offset}", param="offset")
        slot_bytes = bytes_of_a_slot(checkpoint, length)
        count = min(KVSlots.count_within(backbone.shape, config.kv_memory, length), config.kv_memory // slot_bytes)
        if count < 1:
            raise InvalidValueError(
                f"expected kv_memory to hold at least one slot of {length} tokens ({slot_bytes:,} bytes); got {config.kv_memory:,}",
                param="kv_memory",
            )
        self.checkpoint = checkpoint
        self.capacity = Capacity(count, length, slot_bytes)
        # At least two tokens for every session: one of source and one probe, so that nobody waits for a tick.
        self.scheduler: Scheduler[Session] = Scheduler(max(config.tick_tokens, 2 * count, 4))
        self.runner = Runner(backbone, backbone.slots(count=count, length=length))
        self.last_tick = Tick()
        self._sessions: dict[Session, None] = {}
        self.listener = None if checkpoint.listener is None else _with_slots(checkpoint.listener, config, count, length)

    def warm_up(self) -> None:
        """Takes the cost of every first time now. Some seconds; not needed for any result."""
        # Headers come on top of the budget, once a session. Thousands of short slots make room for ticks that take seconds each: not those.
        tokens = self.scheduler.budget + self.capacity.slots * len(self.checkpoint.frame.header)
        self.runner.warm_up(tokens=min(tokens, WARM_TOKENS), probes=min(self.capacity.slots, WARM_TOKENS))
        if (encoder := self.checkpoint.encoder) is not None:
            hearing.warm_up(encoder, step=self.checkpoint.config.decision_ms // 10, sessions=self.capacity.slots)
        if self.listener is not None:
            self.listener.warm_up()

    def check_that_a_task_fits(self) -> None:
        """Raises InvalidValueError where no session could start by its task's own settings, even one whose inputs are empty."""
        checkpoint = self.checkpoint
        needed = {}
        for name, task in checkpoint.config.tasks.items():
            prompt = checkpoint.codec.encode(task.render(dict.fromkeys(task.inputs, ""))).tokens
            needed[name] = self._needed(len(checkpoint.frame.before) + len(prompt), task.max_output_tokens)
        least = min(needed, key=lambda name: needed[name], default=None)
        if least is not None and needed[least] > self.capacity.slot_length:
            raise InvalidValueError(
                f"expected slots of at least {needed[least]} tokens, which task {least!r} needs without its inputs; "
                f"got {self.capacity.slot_length}",
                param="slot_length",
            )

    @property
    def sessions(self) -> list[Session]:
        """Sessions that hold a slot."""
        return list(self._sessions)

    @property
    def free_slots(self) -> int:
        """Slots that nobody holds."""
        return self.runner.slots.free

    @property
    def busy(self) -> bool:
        """True if a tick would do something."""
        own = any(s.pending or s.wants_probe for s in self._sessions) or any(s.unheard for s in self._hearing)
        return own or (self.listener is not None and self.listener.busy)

    @property
    def _hearing(self) -> list[AudioSession]:
        return [session for session in self._sessions if isinstance(session, AudioSession)]

    def open(self, request: Request) -> Session:
        """Starts a session. Raises NoCapacityError, PromptTooLongError, or what `resolve` raises; no slot is held then."""
        settings = resolve(self.checkpoint, request)
        region = self.runner.slots.acquire(*self._rows(settings))
        try:
            session = self._session(settings, region)
        except BaseException:
            self.runner.slots.release(region)
            raise
        self._sessions[session] = None
        return session

    def _session(self, settings: Settings, region: Region) -> Session:
        if settings.audio is None:
            return Session(self.checkpoint, settings, region)
        if self.listener is None:
            return AudioSession(self.checkpoint, settings, region)
        ear = self.listener.open(to_hear(self.listener.checkpoint, settings))
        assert isinstance(ear, AudioSession)
        return ListeningSession(self.checkpoint, settings, region, ear)

    def source_capacity(self, session: Session) -> int:
        """Tokens of the stream that the session may be sent: those that fit into its slot, unless it may outlast that."""
        return (
            NO_LIMIT
            if session.settings.rollover
            else session.region.source_capacity - len(session.settings.prefix) - len(self.checkpoint.frame.source_end)
        )

    def close(self, session: Session) -> None:
        """Frees the session's slot, whatever ended it. Idempotent."""
        if session in self._sessions:
            del self._sessions[session]
            self.runner.slots.release(session.region)
        if isinstance(session, ListeningSession) and self.listener is not None:
            self.listener.close(session.ear)

    def step(self) -> list[tuple[Session, Event]]:
        """One tick. Returns what happened, in order within each session; sessions that are done have given their slots back."""
        self._tick()
        return self.emit()

    def _tick(self) -> None:
        if self.listener is not None:
            self._listen(self.listener)
        if (encoder := self.checkpoint.encoder) is not None:
            hearing.hear(encoder, self._hearing)
        turns = self.scheduler.schedule(self._sessions)
        probes = self.runner.forward(turns)
        self.runner.score(probes)
        for probe in probes:
            self._decide_and_commit(probe)
        self.last_tick = _measure(turns, probes)

    def _listen(self, listener: "Engine") -> None:
        """A tick of the model that hears for this one, whose sessions read what it wrote in that."""
        listener.last_tick = Tick()
        if listener.busy:
            listener._tick()
        for session in self._sessions:
            if isinstance(session, ListeningSession):
                session.overhear()

    def emit(self) -> list[tuple[Session, Event]]:
        """Events since the last call; a message may cause some without a tick."""
        events = [(session, event) for session in self._sessions for event in session.events]
        for session in self.sessions:
            session.events.clear()
            if session.done:
                self.close(session)
        return events

    @staticmethod
    def _decide_and_commit(probe: Probe) -> None:
        if probe.error is not None:
            probe.session.fail(probe.error)
        elif probe.session.decide(probe.score, probe.token):
            remember(probe)

    def _rows(self, settings: Settings) -> tuple[int, int]:
        """Rows of header and target, and of all that is used of the slot; the last token that may be written needs none."""
        if settings.rollover:
            return self._share(settings)
        length, prompt, written = self.capacity.slot_length, len(settings.prefix), settings.rules.max_output_tokens
        needed = self._needed(prompt, written)
        if needed > length:
            room = length - self._needed(prompt, 0)
            raise PromptTooLongError(
                f"expected prompt, target and at least one source token within {length} tokens; got a prompt of {prompt} "
                f"and max_output_tokens {written}, which need {needed}" + (f"; {room} may be written" if room > 0 else ""),
                param="max_output_tokens" if room > 0 else "inputs",
            )
        return len(self.checkpoint.frame.header) + written - 1, length

    def _share(self, settings: Settings) -> tuple[int, int]:
        """Of an endless stream: half of what the prompt leaves, or a quarter where the rest is for sound; no more than the task wants."""
        header, prompt = len(self.checkpoint.frame.header), len(settings.prefix)
        around = prompt + len(self.checkpoint.frame.source_end) + header
        room = min(self.capacity.slot_length - around, settings.rollover_tokens or NO_LIMIT)
        if room < rollover.LEAST:
            raise PromptTooLongError(
                f"expected a prompt that leaves {rollover.LEAST} of {self.capacity.slot_length} tokens to the stream; got one of {prompt}",
                param="inputs",
            )
        return header + room // (rollover.TEXT_SHARES if settings.audio is None else rollover.SOUND_SHARES), around + room

    def _needed(self, prompt: int, written: int) -> int:
        """Rows for a prompt, one source token and so many target tokens, with what frames them."""
        frame = self.checkpoint.frame
        return prompt + 1 + len(frame.source_end) + len(frame.header) + written - 1


def _with_slots(checkpoint: Checkpoint, config: EngineConfig, count: int, length: int) -> Engine:
    """Of a model that hears, with so many slots: an encoder's state is larger than what slots need beside their rows."""
    return Engine(checkpoint, replace(config, slot_length=length, kv_memory=count * bytes_of_a_slot(checkpoint, length)))


def _measure(turns: Sequence[Turn[Session]], probes: Sequence[Probe]) -> Tick:
    decided = Counter(
        (probe.session.settings.head_name, verdict)
        for probe in probes
        if probe.error is None and (verdict := probe.session.controller.verdict)
    )
    return Tick(len(turns), sum(turn.count + turn.probe for turn in turns), decided)
