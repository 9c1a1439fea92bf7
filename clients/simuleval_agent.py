"""A SimulEval agent (text to text) whose policy is a session on a ProactiveLLM server, over the websocket.

Knows SimulEval and the Python client, nothing of the server's code. docs/simuleval.md shows how to run it.
"""

import atexit
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable
from typing import Any

from proactivellm_client import Error, Write
from proactivellm_client.sync import Session, connect
from simuleval.agents import TextToTextAgent
from simuleval.agents.actions import Action, ReadAction, WriteAction
from simuleval.utils import entrypoint

# What goes from the command line into `session.start`, as it is.
OPTIONS = {"model": str, "instruction": str, "head": str, "tier": str, "threshold": float, "max_lag": int, "max_output_tokens": int}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ArgumentTypeError(f"expected name=text, got {text!r}")
    return name, value


@entrypoint
class ProactiveAgent(TextToTextAgent):  # type: ignore[misc]
    """One connection for all sentences, one session for each. Every source word is answered before SimulEval hears of it again.

    Only whole words are written: a word once white space, or the end, follows it. So its delay is the phi of the write that completed it.
    """

    def __init__(self, args: Namespace) -> None:
        self._session: Session | None = None
        self._client = connect(args.url)
        super().__init__(args)
        self._client.__enter__()
        atexit.register(self._close)

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """The server, and what to ask of it."""
        parser.add_argument("--url", default="ws://127.0.0.1:8000", help="The server.")
        parser.add_argument("--task", default="translate", help="Task of the model; GET /v1/models lists them.")
        parser.add_argument("--input", type=_pair, action="append", metavar="NAME=TEXT", help="Input of the task; repeat for several.")
        for name, kind in OPTIONS.items():
            parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=None, help=f"As in session.start: {name}.")

    def reset(self) -> None:
        """A new sentence. What is left of the last one is cancelled."""
        super().reset()
        self._end_session()
        self._sent = 0  # source words
        self._words: list[str] = []  # whole, not yet given to SimulEval
        self._begun = ""  # the word that may still grow

    def policy(self) -> Action:
        """Sends the words that came and writes the words that became whole; READ if there are none."""
        session = self._session or self._start()
        while self._sent < len(self.states.source) and session.done is None:
            # The space says that the word is complete, so that the server shows it to the model at once.
            self._take(session.exchange(f"{self.states.source[self._sent]} "))
            self._sent += 1
        if self.states.source_finished and session.done is None:
            session.end()
            self._take(session)
        if session.done is not None:
            self._finish(session.done.reason)
        elif not self._words:
            return ReadAction()
        content, self._words = " ".join(self._words), []
        return WriteAction(content, finished=session.done is not None)

    def _start(self) -> Session:
        options: dict[str, Any] = {name: getattr(self.args, name) for name in OPTIONS}
        self._session = self._client.session(self.args.task, inputs=dict(self.args.input or ()), **options)
        self._session.__enter__()
        return self._session

    def _take(self, events: Iterable[object]) -> None:
        for event in events:
            if isinstance(event, Error):
                raise event.as_exception()
            if isinstance(event, Write):
                text = self._begun + event.text
                self._words += text.split()
                self._begun = "" if text[-1].isspace() else self._words.pop()

    def _finish(self, reason: str) -> None:
        """The last word is whole now. A session that did not see its source must not be scored as if it had."""
        if reason not in ("end", "length", "stop"):
            raise RuntimeError(f"expected the session to be done by its target's end, got reason {reason!r}")
        self._words += self._begun.split()
        self._begun = ""

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.__exit__(None, None, None)

    def _close(self) -> None:
        self._end_session()
        self._client.__exit__(None, None, None)
