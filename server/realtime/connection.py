"""`/v1/realtime`: what a client's event does. Knows the protocol's states; turns.py knows the sessions of the engine."""

import structlog
from fastapi import WebSocket

from engine.actions import Append
from engine.engine import Engine
from engine.request import threshold
from errors import BadStateError, ProactiveError, UnknownNameError
from server.config import ServerConfig
from server.duplex import FatalError
from server.events import to_request
from server.metrics import Metrics
from server.realtime import audio
from server.realtime.events import Cleared, ItemEvent, SessionEvent, new_id
from server.realtime.messages import (
    AudioAppend,
    AudioClear,
    AudioCommit,
    ClientEvent,
    ItemCreate,
    RefusedError,
    ResponseCancel,
    ResponseCreate,
    ResponseParams,
    SessionUpdate,
    parse,
    read,
)
from server.realtime.response import Response
from server.realtime.settings import Settings
from server.realtime.turns import Turns
from server.worker import Worker

log = structlog.get_logger()


class RealtimeConnection(Turns):
    """What each of the client's events does."""

    def __init__(self, socket: WebSocket, worker: Worker, config: ServerConfig, metrics: Metrics) -> None:
        super().__init__(socket, worker, config, metrics)
        self._settings = Settings.of_query(socket.query_params)
        self._conversation_id = new_id("conv")
        self._say(SessionEvent(type="session.created", session=self._settings.shown(self._session_id)))

    def _receive(self, text: str) -> None:
        try:
            data = parse(text)
            cause = data.get("event_id")
            self._cause = cause[:512] if isinstance(cause, str) else None
            self._take(read(data))
        except FatalError:
            raise
        except ProactiveError as error:
            self._refuse(error)
        self._cause = None

    def _take(self, event: ClientEvent) -> None:
        match event:
            case SessionUpdate():
                self._update(event)
            case ItemCreate():
                self._add_item(event)
            case ResponseCreate():
                self._create(event.response or ResponseParams())
            case ResponseCancel():
                self._cancel(event)
            case AudioAppend():
                self._hear(event)
            case AudioCommit():
                self._commit()
            case AudioClear():
                self._clear()

    def _update(self, event: SessionUpdate) -> None:
        settings = self._settings.updated(event.session)
        if settings.transcribes != self._settings.transcribes and (self._speaker is not None or self._source.begun):
            raise BadStateError("expected the type of session to change only while no source waits or is read", param="session.type")
        tuned = event.session.get("proactivellm") or {}
        tier, value = tuned.get("tier"), tuned.get("threshold")
        if self._handle is not None and (tier is not None or value is not None):
            # Checked here, so that what is acknowledged holds: for the running response, behind the source that came before.
            assert self._handle.engine is not None
            assert self._handle.session is not None
            chosen = threshold(self._handle.engine.checkpoint, self._handle.session.settings, tier=tier, value=value)
            self._owe()
            self._worker.update(self._handle, None, chosen)
        self._settings = settings
        self._say(SessionEvent(type="session.updated", session=settings.shown(self._session_id)))

    def _add_item(self, event: ItemCreate) -> None:
        if self._settings.transcribes:
            raise BadStateError("expected audio in a transcription session, got an item")
        if event.previous_item_id not in (None, self._last_item):
            raise RefusedError(
                "invalid_value", "previous_item_id: expected the last item, or none: a source only grows", param="previous_item_id"
            )
        self._source.check(audio=False)
        text = event.item.text
        if self._config.log_content:
            log.info("session.source", session=self._session_id, text=text)
        piece = (Append(text), len(text.encode(errors="surrogatepass"))) if text else None
        kept = self._add(piece, last=event.item.status != "in_progress")
        item = event.item.model_dump() | {"id": event.item.id or new_id("item"), "object": "realtime.item"}
        item["status"] = "completed" if kept else "incomplete"
        self._say(
            ItemEvent(type="conversation.item.added", previous_item_id=self._last_item, item=item),
            ItemEvent(type="conversation.item.done", previous_item_id=self._last_item, item=item),
        )
        self._last_item = item["id"]

    def _create(self, params: ResponseParams) -> None:
        if self._settings.transcribes:
            raise BadStateError("expected audio in a transcription session, which needs no response.create")
        if self._speaker is not None:
            raise RefusedError(
                "conversation_already_has_active_response",
                f"expected response.create after response.done, got it while {self._speaker.id} is in progress",
            )
        if self._source.left or self._source.lost:
            raise BadStateError("expected a new source, got the rest of one whose response is done: say its end, then send the new one")
        if not self._source.begun:
            self._source.check(audio=self._hears_only())
        start = self._settings.start(params, self._task(params))
        request = to_request(start)
        if self._source.audio:
            request = audio.PATH.request(request)
        include = self._settings.own(params).get("include") or []
        most, heard = start.max_output_tokens or "inf", self._source.audio
        speaker = Response(params, self._conversation_id, max_output_tokens=most, phi="phi" in include, heard=heard)
        self._open(speaker, start.model, request)

    def _task(self, params: ResponseParams) -> str:
        """The task that is asked for, else the model's only one."""
        self._check_ready()
        own = self._settings.own(params)
        if own.get("task") is not None:
            return str(own["task"])
        engine = self._engine()
        if engine is None:
            raise UnknownNameError("model", str(self._settings.model), self._worker.engines)
        tasks = list(engine.checkpoint.config.tasks)
        if len(tasks) != 1:
            raise RefusedError(
                "missing_required_parameter",
                f"session.proactivellm.task: expected one of: {', '.join(sorted(tasks))}; got none",
                param="session.proactivellm.task",
            )
        return tasks[0]

    def _hears_only(self) -> bool:
        """True where the source that is to come can only be sound: of a model with an encoder of its own."""
        engine = self._engine()
        return engine is not None and engine.checkpoint.encoder is not None

    def _engine(self) -> Engine | None:
        """The one that the settings name, else the first; None where there is none of that name."""
        model, engines = self._settings.model, self._worker.engines
        return engines.get(model) if model is not None else next(iter(engines.values()))

    def _cancel(self, event: ResponseCancel) -> None:
        response = self._speaker if isinstance(self._speaker, Response) else None
        # Without a response it is the rest of one's source that is given up. An utterance is none: its end must still be told.
        if self._speaker is None or (response is not None and event.response_id in (None, response.id)):
            self._source.stop()
        if self._handle is None or response is None or event.response_id not in (None, response.id):
            raise RefusedError("response_cancel_not_active", "expected a response in progress, got none of that id to cancel")
        self._owe()
        self._worker.cancel(self._handle)

    # ---- audio

    def _hear(self, event: AudioAppend) -> None:
        pcm = audio.decoded(event.audio)
        self._check_ready()
        engine = self._engine()
        if engine is None or not audio.PATH.takes(engine):
            raise RefusedError("audio_not_supported", "expected text: the model that is served takes no audio")
        self._source.check(audio=True)
        self._uncommitted += len(pcm)
        self._add((audio.PATH.piece(pcm), len(pcm)), last=False)
        if self._settings.transcribes and self._handle is None and not self._source.left:
            start = self._settings.start(ResponseParams(), self._task(ResponseParams()))
            self._open(audio.Transcript(), start.model, audio.PATH.request(to_request(start)))

    def _commit(self) -> None:
        if not self._uncommitted:
            raise RefusedError("input_audio_buffer_commit_empty", "expected audio before input_audio_buffer.commit, got none")
        self._uncommitted = 0
        self._add(None, last=True)
        if isinstance(self._speaker, audio.Transcript):
            events, item_id = self._speaker.commit(self._last_item), self._speaker.item_id
            if self._handle is None:
                self._speaker = None
        else:
            item_id = new_id("item")
            events = audio.committed(item_id, self._last_item)
        self._last_item = item_id
        self._say(*events)
        self._owe_only(self._owes)

    def _clear(self) -> None:
        if self._source.read and not self._settings.transcribes:
            raise BadStateError("expected response.cancel, got input_audio_buffer.clear while a response reads the source")
        if self._uncommitted:
            self._drop_session()
            self._quota.end_session()
            self._speaker = None
            self._source.forget()
            self._source.stop()
            self._uncommitted = 0
            self._owe_only(0)
        self._say(Cleared())
