"""The one thread that owns the device: takes commands from the event loop, runs ticks, hands events back.

The loop never waits for torch and torch never waits for the loop. Knows engines; knows no socket and no wire message.
"""

import asyncio
import contextlib
import gc
import queue
import threading
import time
from collections.abc import Callable, Sequence

import structlog
import torch

from backbones.loading import Checkpoint, load
from engine.actions import Done, Event, Message, Read, Update, Write
from engine.engine import Engine, EngineConfig, Tick
from engine.request import Request, threshold
from engine.session import Session
from errors import BadStateError, ProactiveError, UnknownNameError
from server.config import ServerConfig
from server.handle import Cancel, Crashed, Handle, Opened, Outcome, Refused, Retune, Watch
from server.metrics import Metrics, head_label

__all__ = ["Crashed", "Handle", "Loader", "Opened", "Outcome", "Refused", "Worker", "load_checkpoint"]
log = structlog.get_logger()
Loader = Callable[[str, ServerConfig], Checkpoint]


def load_checkpoint(reference: str, config: ServerConfig) -> Checkpoint:
    """The default loader."""
    return load(reference, dtype=config.dtype, device=config.device, adapter=config.adapter, merge_adapter=config.merge_adapter)


class Worker:
    """Loads the models, then serves commands until `stop`. `failed` holds what went wrong, if it did."""

    def __init__(self, config: ServerConfig, metrics: Metrics, loader: Loader = load_checkpoint) -> None:
        self._config, self._metrics, self._loader = config, metrics, loader
        self.engines: dict[str, Engine] = {}
        self.failed: BaseException | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self.watches: list[Watch] = []  # each makes a watcher of every session
        self._loaded = False
        self._last_tick = 0.0
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
        """Stops after the current tick and waits for that."""
        self._stopping.set()
        self._commands.put(lambda: None)
        self._thread.join()

    @property
    def ready(self) -> bool:
        """Models loaded, and a tick or a canary done a short while ago."""
        fresh = time.monotonic() - self._last_tick < 5 * self._config.canary_seconds
        return self._loaded and self.failed is None and fresh

    @property
    def loading(self) -> bool:
        """True until every model is there."""
        return not self._loaded

    def open(self, handle: Handle, model: str | None, request: Request) -> None:
        """Asks for a session; answered by Opened or Refused, then by its events."""
        handle.watchers = [watch(handle, model, request) for watch in self.watches]
        self._commands.put(lambda: self._open(handle, model, request))

    def send(self, handle: Handle, message: Message) -> None:
        """Queues a message for the session."""
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
        """The client is gone: frees the slot, answers nothing."""
        handle.leave()
        self._commands.put(lambda: self._close(handle))

    # ---- the device's thread

    def _run(self) -> None:
        try:
            self._load()
            while not self._stopping.is_set():
                self._take_commands()
                self._tick()
                self._deliver()
        except BaseException as error:  # whatever it is, the process must not go on looking healthy
            self.failed = error
            self._fail_all()
            self._call_in_loop(self.on_failure)
            # Last: a log that nobody takes any more must not keep the clients from being told.
            if self._loaded or not isinstance(error, ProactiveError):  # what is wrong with a setting, the command says when it leaves
                log.error("worker.failed", error=str(error), exc_info=True)

    def _load(self) -> None:
        if self._config.threads:
            torch.set_num_threads(self._config.threads)
        config = EngineConfig(self._config.kv_memory, self._config.slot_length, self._config.tick_tokens)
        for reference in self._config.model:
            started = time.monotonic()
            engine = Engine(self._loader(reference, self._config), config)
            name = engine.checkpoint.name
            if name in self.engines:
                raise BadStateError(f"expected models of different names, got {name!r} twice", param="model")
            engine.check_that_a_task_fits()
            engine.warm_up()
            self.engines[name] = engine
            capacity = engine.capacity
            self._metrics.slots.labels(name).set(capacity.slots)
            log.info(
                "model.loaded",
                model=name,
                seconds=round(time.monotonic() - started, 2),
                dtype=str(engine.checkpoint.backbone.shape.dtype).removeprefix("torch."),
                slots=capacity.slots,
                slot_length=capacity.slot_length,
                slot_bytes=capacity.slot_bytes,
                kv_bytes=capacity.slots * capacity.slot_bytes,
            )
        # Python collects cycles once they are a quarter of what is old, and a model's libraries are 400,000 old objects: closed
        # connections would pile up to tens of MB.
        gc.collect()
        gc.freeze()
        self._last_tick = time.monotonic()
        self._loaded = True

    def _take_commands(self) -> None:
        """Waits only while nobody has work, and then no longer than until the next canary."""
        busy = any(engine.busy for engine in self.engines.values())
        with contextlib.suppress(queue.Empty):
            command = self._commands.get_nowait() if busy else self._commands.get(timeout=self._config.canary_seconds)
            while True:
                command()
                command = self._commands.get_nowait()

    def _tick(self) -> None:
        for name, engine in self.engines.items():
            if engine.busy:
                started = time.monotonic()
                events = engine.step()
                self._last_tick = time.monotonic()
                self._count_tick(name, engine.last_tick, self._last_tick - started)
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

    def _count_tick(self, model: str, tick: Tick, seconds: float) -> None:
        self._metrics.ticks.labels(model).observe(seconds)
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
            engine = self._engine(model, request.task)
            session = engine.open(request)
        except ProactiveError as error:
            self._outbox.append((handle, Refused(error)))
            return
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

    def _engine(self, model: str | None, task: str) -> Engine:
        """The named model, else the first that has the task."""
        if model is not None:
            if model not in self.engines:
                raise UnknownNameError("model", model, self.engines)
            return self.engines[model]
        for engine in self.engines.values():
            if task in engine.checkpoint.config.tasks:
                return engine
        known = {name for engine in self.engines.values() for name in engine.checkpoint.config.tasks}
        raise UnknownNameError("task", task, known)

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
            self._handles.pop(handle.session, None)

    def _fail_all(self) -> None:
        gone = ProactiveError("the server's device thread stopped; start the session again")
        self._outbox.extend((handle, Crashed(gone)) for handle in self._handles.values())
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


def _hand_out(outbox: Sequence[tuple[Handle, Outcome]]) -> None:
    for handle, outcome in outbox:
        try:
            handle.deliver(outcome)
        except Exception:  # what is wrong with one session must not cost the others their events
            log.exception("session.not_delivered")
