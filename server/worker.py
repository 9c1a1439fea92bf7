"""The one thread that owns the device: takes commands from the event loop, runs ticks, hands events back.

The loop never waits for torch and torch never waits for the loop. Knows engines; knows no socket and no wire message.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence

import structlog

from engine.actions import Done, Event, Message, Read, Update, Write
from engine.engine import Engine, Tick
from engine.request import Request, threshold
from engine.session import Session
from errors import LimitError, NoCapacityError, ProactiveError
from server.config import ServerConfig
from server.handle import Cancel, Crashed, Handle, Opened, Outcome, Refused, Retune, Watch
from server.metrics import Metrics, head_label
from server.models import Loader, Models, load_checkpoint
from server.supervise import Restarts

__all__ = ["Crashed", "Handle", "Loader", "Opened", "Outcome", "Refused", "Worker", "load_checkpoint"]
log = structlog.get_logger()

STOP_SECONDS = 10.0  # that a tick may take when the server stops
COMMANDS_SECONDS = 0.05  # of messages taken before a tick, where there are so many


class Worker:
    """Loads the models, then serves commands until `stop`.

    failed:  what went wrong, until a restart mended it
    stalled: the watchdog's
    checks:  each raises LimitError while no session may be opened
    """

    def __init__(self, config: ServerConfig, metrics: Metrics, loader: Loader = load_checkpoint) -> None:
        self._config, self._metrics = config, metrics
        self._models = Models(config, metrics, loader)
        self.failed: BaseException | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self.watches: list[Watch] = []  # each makes a watcher of every session
        self.checks: list[Callable[[], None]] = []
        self.stalled = False
        self._loaded = False
        self._restarts = Restarts(config.max_restarts)
        self._stride = 1
        self._last_tick = self._slowest_tick = 0.0
        self._turn_began: float | None = None
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._handles: dict[Session, Handle] = {}
        self._outbox: list[tuple[Handle, Outcome]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="device", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    # ---- called in the event loop

    def start(self) -> None:
        """Starts the thread; events go to the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Stops after the current tick and waits for that; not for ever, as a device may hang."""
        self._stopping.set()
        self._commands.put(lambda: None)
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            self.failed = RuntimeError(f"expected the device's thread to end within {STOP_SECONDS:g} s, it hangs")
            log.error("worker.left_behind", error=str(self.failed))

    @property
    def engines(self) -> dict[str, Engine]:
        """By the model's name."""
        return self._models.engines

    @property
    def ready(self) -> bool:
        """Models loaded, and a tick or a canary done a short while ago."""
        fresh = time.monotonic() - self._last_tick < 5 * self._config.canary_seconds
        return self._loaded and self.failed is None and fresh and not self.stalled

    @property
    def loading(self) -> bool:
        """True until every model is there."""
        return not self._loaded

    @property
    def turn_seconds(self) -> float:
        """How long the thread has been at its commands and their tick; 0 while it waits for more."""
        began = self._turn_began
        return 0.0 if began is None else time.monotonic() - began

    def take_slowest_tick(self) -> float:
        """Seconds of the slowest tick since the last call; 0 without any."""
        slowest, self._slowest_tick = self._slowest_tick, 0.0
        return slowest

    def check_admits(self) -> None:
        """Raises LimitError while no session may be opened."""
        if self.failed is not None:
            raise _gone()
        if self.loading:
            message = "expected the models to be loaded, they still are being loaded; try again in a few seconds"
            raise LimitError("not_ready", message, retry_after=2.0)
        for check in self.checks:
            check()

    def check_room(self, model: str | None, task: str) -> None:
        """Raises LimitError while no session of the model may be opened or none has a slot, UnknownNameError where there is no such model.

        It holds none: for who has something to do before the session is asked for.
        """
        self.check_admits()
        engine = self._models.find(model, task)
        if not engine.free_slots:
            self._metrics.refusals.labels("no_capacity").inc()
            raise NoCapacityError(f"expected a free slot, got {engine.capacity.slots} of them in use", retry_after=1.0)

    def set_stride(self, stride: int) -> None:
        """For every session that allows it, now and later."""
        self._commands.put(lambda: self._set_stride(stride))

    def open(self, handle: Handle, model: str | None, request: Request) -> None:
        """Asks for a session; answered by Opened or Refused, then by its events."""
        handle.watchers = [watch(handle, model, request) for watch in self.watches]
        self._commands.put(lambda: self._open(handle, model, request))

    def send(self, handle: Handle, message: Message) -> None:
        """Queues a source message for the session."""
        handle.n += 1
        handle.tell(message)
        self._commands.put(lambda: self._on_session(handle, lambda session: session.send(message)))

    def update(self, handle: Handle, tier: str | None, value: float | None) -> None:
        """Queues a new tier or threshold; answered by Updated or Refused."""
        handle.tell(Retune(tier, value))
        self._commands.put(lambda: self._on_session(handle, lambda session: self._update(handle, session, tier, value)))

    def cancel(self, handle: Handle) -> None:
        """Ends the session; answered by `Done`, unless it was done before."""
        handle.tell(Cancel())
        self._commands.put(lambda: self._on_session(handle, Session.cancel))

    def close(self, handle: Handle) -> None:
        """The client is gone, or told why the connection ends: frees the slot, answers nothing."""
        handle.leave()
        self._commands.put(lambda: self._close(handle))

    # ---- the device's thread

    def _run(self) -> None:
        try:
            self._models.load()
        except BaseException as error:  # whatever it is, the process must not go on looking healthy
            self.failed = error
            self._call_in_loop(self.on_failure)
            if not isinstance(error, ProactiveError):  # what is wrong with a setting, the command says when it leaves
                log.error("worker.failed", error=str(error), exc_info=True)
            return
        self._last_tick = time.monotonic()
        self._loaded = alive = True
        while alive and not self._stopping.is_set():
            alive = self._survives(self._turn) or self._restart()

    def _turn(self) -> None:
        self._take_commands()
        self._tick()
        self._deliver()
        self._turn_began = None

    def _survives(self, act: Callable[[], None]) -> bool:
        """Does it; False if that failed, with every session told. No trace of it is kept: its frames would hold the slots."""
        try:
            act()
        except BaseException as error:
            self.failed = RuntimeError(f"{type(error).__name__}: {error}")
            self._turn_began = None
            self._fail_all()
            # Last: a log that nobody takes any more must not keep the clients from being told.
            log.error("worker.failed", error=str(error), exc_info=True)
            return False
        return True

    def _restart(self) -> bool:
        """New engines on the loaded models take the place of those that failed; False if that failed too often."""
        while (wait := self._restarts.next_wait(time.monotonic())) is not None:
            log.info("worker.restarting", seconds=wait)
            if self._stopping.wait(wait):
                return True
            self._metrics.restarts.inc()
            if self._survives(self._models.make_again):
                self._last_tick = time.monotonic()
                self.failed = None
                return True
        self._call_in_loop(self.on_failure)
        return False

    def _take_commands(self) -> None:
        """Waits only while nobody has work, and then no longer than until the next canary."""
        busy = any(engine.busy for engine in self.engines.values())
        with contextlib.suppress(queue.Empty):
            command = self._commands.get_nowait() if busy else self._commands.get(timeout=self._config.canary_seconds)
            self._turn_began = began = time.monotonic()
            command()
            # A flood of messages must not keep the others from their tick.
            while time.monotonic() - began < COMMANDS_SECONDS:
                self._commands.get_nowait()()

    def _tick(self) -> None:
        self._turn_began = self._turn_began or time.monotonic()
        for name, engine in self.engines.items():
            if engine.busy:
                started = time.monotonic()
                events = engine.step()
                self._last_tick = time.monotonic()
                self._slowest_tick = max(self._slowest_tick, self._last_tick - started)
                self._metrics.ticks.labels(name).observe(self._last_tick - started)
                self._count_tick(name, engine.last_tick)
                if (listener := engine.listener) is not None and listener.last_tick.tokens:
                    self._count_tick(listener.checkpoint.name, listener.last_tick)
            else:
                events = engine.emit()
            for session, event in events:
                self._outbox.append((self._handles[session], event))
                self._count(name, event)
                if isinstance(event, Done):
                    del self._handles[session]
            self._metrics.sessions.labels(name).set(len(engine.sessions))
        if time.monotonic() - self._last_tick > self._config.canary_seconds:
            for engine in self.engines.values():
                engine.runner.canary()
            self._last_tick = time.monotonic()

    def _count_tick(self, model: str, tick: Tick) -> None:
        self._metrics.tick_sessions.labels(model).observe(tick.sessions)
        self._metrics.tick_tokens.labels(model).observe(tick.tokens)
        for (head, verdict), count in tick.decisions.items():
            self._metrics.decisions.labels(model, head_label(head), verdict).inc(count)

    def _count(self, model: str, event: Event) -> None:
        if isinstance(event, Write):
            self._metrics.written.labels(model).inc(event.count)
        elif isinstance(event, Read):
            self._metrics.reads.labels(model).inc()
        elif isinstance(event, Done):
            self._metrics.done.labels(model, event.reason).inc()

    def _open(self, handle: Handle, model: str | None, request: Request) -> None:
        try:
            engine = self._models.find(model, request.task)
            session = engine.open(request)
        except ProactiveError as error:
            self._outbox.append((handle, Refused(error)))
            return
        except BaseException:
            self._outbox.append((handle, Crashed(_gone())))
            raise
        handle.engine, handle.session = engine, session
        self._handles[session] = handle
        settings = session.settings
        opened = Opened(
            engine.checkpoint.name,
            settings.head_name,
            settings.threshold,
            engine.source_capacity(session),
            settings.rules.max_output_tokens,
        )
        self._outbox.append((handle, opened))
        if settings.allow_stride:
            session.set_stride(self._stride)

    def _set_stride(self, stride: int) -> None:
        self._stride = stride
        for session in self._handles:
            if session.settings.allow_stride:
                session.set_stride(stride)

    def _on_session(self, handle: Handle, act: Callable[[Session], None]) -> None:
        if handle.session is not None and not handle.session.done:
            act(handle.session)

    def _update(self, handle: Handle, session: Session, tier: str | None, value: float | None) -> None:
        assert handle.engine is not None
        try:
            chosen = threshold(handle.engine.checkpoint, session.settings, tier=tier, value=value)
        except ProactiveError as error:
            self._outbox.append((handle, Refused(error)))
        else:
            session.send(Update(chosen))

    def _close(self, handle: Handle) -> None:
        if handle.session is not None and handle.engine is not None:
            handle.engine.close(handle.session)
            if self._handles.pop(handle.session, None) is not None:  # it was not done
                self._metrics.done.labels(handle.engine.checkpoint.name, "left").inc()
                log.info("session.left", session=handle.session_id)

    def _fail_all(self) -> None:
        for handle in self._handles.values():
            handle.engine = handle.session = None
            self._outbox.append((handle, Crashed(_gone())))
        self._handles.clear()
        self._deliver()

    def _deliver(self) -> None:
        """One call into the loop for a tick, however many events it made."""
        if self._outbox:
            outbox, self._outbox = self._outbox, []
            self._call_in_loop(lambda: _hand_out(outbox))

    def _call_in_loop(self, call: Callable[[], None]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(call)


def _gone() -> LimitError:
    return LimitError("worker_failed", "the server's device thread stopped; start the session again", retry_after=2.0)


def _hand_out(outbox: Sequence[tuple[Handle, Outcome]]) -> None:
    for handle, outcome in outbox:
        try:
            handle.deliver(outcome)
        except Exception:  # what is wrong with one session must not cost the others their events
            log.exception("session.not_delivered")
