"""SimulEval's remote evaluation: the four HTTP endpoints that `simuleval --remote-eval` speaks, around one session at a time.

Knows SimulEval's segments and the worker. The session runs in the engine like any other; only whole words of its target come out.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, ValidationError

from engine.actions import Append, Done, End, Failure, Read, Write
from errors import BadStateError, ProactiveError
from server.config import ServerConfig, is_loopback
from server.events import to_request
from server.metrics import Metrics
from server.wire import SessionStart
from server.worker import Crashed, Handle, Opened, Outcome, Refused, Worker

log = structlog.get_logger()
# HTTP statuses by code; 400 for the rest, which say what was wrong with the settings.
STATUS: Mapping[str, int] = {
    "forbidden": 403,
    "idle": 408,
    "bad_state": 409,
    "context": 413,
    "too_large": 413,
    "bad_signal": 500,
    "internal": 500,
    "no_capacity": 503,
    "not_ready": 503,
    "worker_failed": 503,
    "shutting_down": 503,
}


class RefusedError(ProactiveError):
    """A request that is answered with an error; the code decides the HTTP status."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Segment(BaseModel):
    """A piece of source or target as SimulEval writes it. Its parser takes no fields that it does not know, and needs `data_type`."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    index: int = 0
    content: str | list[Any] = []
    finished: bool = False
    is_empty: bool = False
    data_type: str | None = None
    tgt_lang: str | None = None


class Words:
    """Text in, whole words out. A word is whole once white space, or the end, follows it."""

    def __init__(self) -> None:
        self._whole: list[str] = []
        self._begun = ""

    def push(self, text: str) -> None:
        """More text, cut anywhere."""
        text = self._begun + text
        self._whole += text.split()
        self._begun = self._whole.pop() if text and not text[-1].isspace() else ""

    def end(self) -> None:
        """No more text: what was begun is whole."""
        self.push(" ")

    def take(self) -> list[str]:
        """The words that became whole since the last call."""
        whole, self._whole = self._whole, []
        return whole


class Sentence:
    """One session, from the first segment to `done` or the next reset. An error stays: SimulEval looks at no status, only at /output."""

    def __init__(self, start: SessionStart, worker: Worker, config: ServerConfig) -> None:
        self._start, self._worker, self._config = start, worker, config
        self._handle = Handle(self._on_outcome)
        self._words = Words()
        self._opened = self._done = self._busy = False
        self._answered = asyncio.Event()
        self._idle: asyncio.TimerHandle | None = None
        self._error: ProactiveError | None = None

    async def put(self, body: bytes) -> None:
        """Takes a segment of the source, and returns once its session has dealt with it. Raises ProactiveError, now and from then on."""
        if self._busy:
            self.fail(BadStateError("expected one request at a time, got a second: only one client may evaluate"))
        self._check()
        self._busy = True
        self._watch(None)
        try:
            await self._put(_parse(body, self._config.max_message_bytes))
        except ProactiveError as error:
            self.fail(error)
            raise
        finally:
            self._busy = False
            self._watch(self._config.idle_seconds)

    def take(self) -> Segment:
        """The words since the last call. Raises ProactiveError for a session that failed."""
        self._check()
        words = self._words.take()
        if not words:
            return Segment(is_empty=True, finished=self._done)
        return Segment(content=" ".join(words), data_type="text", finished=self._done)

    def fail(self, error: ProactiveError) -> None:
        """Ends the session, wherever it is; its slot is freed. The first error stands."""
        self._error = self._error or error
        self._worker.close(self._handle)
        self._watch(None)
        self._answered.set()

    async def _put(self, segment: Segment) -> None:
        if not self._opened:
            self._opened = True
            _check_ready(self._worker)
            request = to_request(self._start)
            await self._ask(lambda: self._worker.open(self._handle, self._start.model, request))
        if not segment.is_empty:
            # The space says that the word is complete, so that it is visible at once.
            await self._ask(lambda: self._worker.send(self._handle, Append(f"{segment.content} ")))
        if segment.finished:
            await self._ask(lambda: self._worker.send(self._handle, End()))

    async def _ask(self, act: Callable[[], None]) -> None:
        """Waits for the answer; a session that is done has none to give."""
        if self._done:
            return
        self._answered.clear()
        act()
        await self._answered.wait()
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _watch(self, seconds: float | None) -> None:
        """Starts waiting for the next segment, or stops: a client that went away must not keep the slot."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if seconds is not None and not self._done and self._error is None:
            error = RefusedError("idle", f"expected a segment within {seconds:g} s, got none")
            self._idle = asyncio.get_running_loop().call_later(seconds, self.fail, error)

    def _on_outcome(self, outcome: Outcome) -> None:
        match outcome:
            case Write():
                self._words.push(outcome.text)
            case Read() | Opened():
                self._answered.set()
            case Refused() | Failure() | Crashed():
                self.fail(outcome.error)
            case Done():
                self._finish(outcome)

    def _finish(self, done: Done) -> None:
        log.info("simuleval.done", reason=done.reason, **vars(done.usage))
        if done.reason == "context":
            self.fail(RefusedError("context", f"expected a source that fits into {self._config.slot_length} tokens, got a longer one"))
        self._words.end()
        self._done = True
        self._answered.set()


class Evaluation:
    """What the endpoints share: the sentence at hand, which the first segment after a reset begins."""

    def __init__(self, start: SessionStart, worker: Worker, config: ServerConfig) -> None:
        self._start, self._worker, self._config = start, worker, config
        self._sentence: Sentence | None = None

    @property
    def sentence(self) -> Sentence:
        """The one at hand, or a new one."""
        if self._sentence is None:
            self._sentence = Sentence(self._start, self._worker, self._config)
        return self._sentence

    def reset(self) -> None:
        """Ends the sentence at hand, whether or not its session is done."""
        if self._sentence is not None:
            self._sentence.fail(BadStateError("expected the last segment's answer to be waited for, got a reset"))
        self._sentence = None


def mount(app: FastAPI, start: SessionStart, worker: Worker, config: ServerConfig, metrics: Metrics) -> None:
    """Adds `POST /reset`, `PUT /input`, `GET /output` and `GET /`, for clients on loopback; `start` is what every session starts with."""
    evaluation = Evaluation(start, worker, config)
    router = APIRouter(dependencies=[Depends(_local)])

    @router.post("/reset")
    async def reset() -> dict[str, str]:
        evaluation.reset()
        return {}

    # FastAPI's own parsing of a body would need a content type, which SimulEval does not send.
    @router.put("/input")
    async def put_input(request: Request) -> dict[str, str]:
        await evaluation.sentence.put(await _read(request, config.max_message_bytes))
        return {}

    @router.get("/output")
    async def get_output() -> Segment:
        return evaluation.sentence.take()

    @router.get("/")
    async def info() -> dict[str, str]:
        return {"info": f"ProactiveLLM[text -> text], task {start.task}"}

    async def tell(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ProactiveError)
        metrics.errors.labels(error.code).inc()
        log.warning("simuleval.refused", code=error.code, message=error.message)
        told = {"code": error.code, "message": error.message, "param": error.param}
        return JSONResponse(told, status_code=STATUS.get(error.code, 400))

    app.add_exception_handler(ProactiveError, tell)
    app.include_router(router)


def _local(request: Request) -> None:
    if request.client is None or not is_loopback(request.client.host):
        raise RefusedError("forbidden", "expected a client on this machine, got one from elsewhere")
    if "origin" in request.headers:
        # A page that is open in a browser here could end the sentence at hand without ever reading an answer.
        raise RefusedError("forbidden", "expected SimulEval, got a browser's page")


async def _read(request: Request, limit: int) -> bytes:
    """The body, or more than `limit` bytes of it, if it has so many."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            break
    return bytes(body)


def _check_ready(worker: Worker) -> None:
    worker.check_admits()


def _parse(body: bytes, limit: int) -> Segment:
    """Raises RefusedError for what is no segment of text; nothing of what came is repeated, as messages are logged."""
    if len(body) > limit:
        raise RefusedError("too_large", f"expected at most {limit} bytes a segment, got more")
    try:
        segment = Segment.model_validate_json(body)
    except ValidationError as invalid:
        fault = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        raise RefusedError("bad_message", f"expected a segment of SimulEval's: {fault['msg']}") from None
    if not segment.is_empty and (segment.data_type != "text" or not isinstance(segment.content, str)):
        raise RefusedError("bad_message", "expected a segment of text, got one of another data_type")
    return segment
