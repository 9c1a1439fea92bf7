"""Engine events to wire events, wire requests to engine requests. Knows both vocabularies and nothing that moves."""

from collections.abc import Mapping
from dataclasses import asdict

from backbones.audio_pcm import AudioFormat
from engine import actions
from engine.request import Request, Sampling
from errors import LimitError, ProactiveError
from server import wire
from server.handle import Opened

# Errors that end the connection, by code: their close codes (clients/protocol.md has the table with what to do).
CLOSE_CODES: Mapping[str, int] = {
    "bad_message": 4400,
    "not_authorised": 4401,
    "origin_not_allowed": 4401,
    "host_not_allowed": 4401,
    "forbidden": 4401,
    "resumed_elsewhere": 4409,
    "idle": 4408,
    "session_too_long": 4408,
    "too_large": 4413,
    "source_too_long": 4413,
    "too_fast": 4429,
    "too_many_sessions": 4429,
    "slow_reader": 4430,
    "no_capacity": 1013,
    "not_ready": 1013,
    "shutting_down": 1012,
    "worker_failed": 1011,
}


def to_request(start: wire.SessionStart) -> Request:
    """What a `session.start` asks of the engine."""
    params: dict[str, object] = {}
    name = start.head
    if isinstance(name, wire.HeadSpec):
        params = dict(name.model_extra or {})
        name = name.name
    return Request(
        task=start.task,
        inputs=start.inputs,
        instruction=start.instruction,
        head=name,
        head_params=params,
        tier=start.tier,
        threshold=start.threshold,
        max_lag=start.max_lag,
        max_output_tokens=start.max_output_tokens,
        stop=start.stop,
        sampling=Sampling(**start.sampling.model_dump()),
        decisions="decision" in start.include,
        rollover=start.rollover,
        audio=None if start.audio is None else AudioFormat(start.audio.format, start.audio.rate, start.audio.channels),
        silence_gate=start.audio is not None and start.audio.silence_gate,
        allow_stride=start.allow_stride,
    )


def to_start(request: Request, model: str | None) -> wire.SessionStart:
    """The `session.start` that asks for it: the inverse of `to_request`."""
    head = wire.HeadSpec(name=request.head, **request.head_params) if request.head is not None and request.head_params else request.head
    form = request.audio
    return wire.SessionStart(
        type="session.start",
        task=request.task,
        model=model,
        inputs=dict(request.inputs),
        instruction=request.instruction,
        head=head,
        tier=request.tier,
        threshold=request.threshold,
        max_lag=request.max_lag,
        max_output_tokens=request.max_output_tokens,
        stop=list(request.stop),
        sampling=wire.Sampling(**asdict(request.sampling)),
        include=["decision"] if request.decisions else [],
        rollover=request.rollover,
        modality="text" if form is None else "audio",
        audio=None
        if form is None
        else wire.Audio(format=form.encoding, rate=form.rate, channels=form.channels, silence_gate=request.silence_gate),
        allow_stride=request.allow_stride,
    )


def to_started(
    opened: Opened, seq: int, *, session_id: str, token: str | None, audio_seconds: float | None, message_bytes: int
) -> wire.SessionStarted:
    """The session that was opened, with its bounds. audio_seconds: of one that hears, else None."""
    return wire.SessionStarted(
        seq=seq,
        session_id=session_id,
        resume_token=token,
        model=opened.model,
        head=opened.head,
        threshold=opened.threshold,
        unit="word" if audio_seconds is None else "ms",
        limits=wire.Limits(
            max_source_tokens=opened.source_capacity,
            max_source_seconds=audio_seconds,
            max_output_tokens=opened.max_output_tokens,
            max_message_bytes=message_bytes,
        ),
    )


def to_wire(event: actions.Event, seq: int) -> wire.ServerEvent:
    """A session's event as it goes over the wire."""
    match event:
        case actions.Write():
            return wire.Write(seq=seq, **vars(event))
        case actions.Read():
            return wire.Read(seq=seq, **vars(event))
        case actions.Decision():
            score = event.score if event.score is None or abs(event.score) != float("inf") else None
            return wire.Decision(seq=seq, **{**vars(event), "score": score})
        case actions.Updated() | actions.Restrided():
            return wire.SessionUpdated(seq=seq, **vars(event))
        case actions.Done():
            return wire.Done(seq=seq, **{**vars(event), "usage": wire.Usage(**asdict(event.usage))})
        case actions.Failure():
            return to_error(event.error, seq, n=event.n)


def to_error(error: ProactiveError, seq: int, *, n: int | None = None, fatal: bool | None = None) -> wire.Error:
    """An error event; whether it is fatal follows from its code unless `fatal` says so."""
    fatal = error.code in CLOSE_CODES if fatal is None else fatal
    retry = error.retry_after if isinstance(error, LimitError) else None
    return wire.Error(seq=seq, code=error.code, message=error.message, param=error.param, n=n or None, fatal=fatal, retry_after=retry)
