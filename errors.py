"""The one tree of errors that this project raises on purpose.

Each class carries the `code` that the wire shows. Nothing here knows about sockets, close codes or torch.
"""

import re
from collections.abc import Iterable

from pydantic import ValidationError

MAX_TOLD = 400  # characters of what a client sent that may go back to it
# Controls, ends of lines, turns of direction, and halves of a character, which cannot be written at all.
_OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SHOULD = re.compile(r"(?:Input|String|List|Set|Tuple|Dictionary|Value) should (?:be|have) ")


def cut(text: str, limit: int = MAX_TOLD) -> str:
    """At most `limit` characters of a text that somebody else wrote."""
    return text if len(text) <= limit else f"{text[:limit]}…"


def visible(text: str, keep: str = "") -> str:
    """What somebody else wrote, for a terminal: what it would obey is shown as an escape, but for characters of `keep`."""
    return _OBEYED.sub(lambda char: char[0] if char[0] in keep else char[0].encode("unicode_escape").decode(), text)


def in_our_words(message: str) -> str:
    """A validator's message as "expected …", cut: it may repeat what came."""
    known = {"Field required": "expected a value, got none", "Extra inputs are not permitted": "expected no field of this name"}
    return cut(known.get(message) or _SHOULD.sub("expected ", message.removeprefix("Value error, "), count=1))


def first_fault(error: ValidationError, whole: str) -> tuple[str, str]:
    """The field at fault, `whole` where it is no single one, and what the validator says of it in its own words."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ".".join(map(str, fault["loc"])) or whole, fault["msg"]


class ProactiveError(Exception):
    """Root. `code` is stable and machine-readable, `param` names the offending field where there is one."""

    code = "internal"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param if param is None else cut(param)


class CheckpointError(ProactiveError):
    """A model folder, GGUF file or one of its settings files cannot be used."""

    code = "bad_checkpoint"


class UnknownNameError(ProactiveError):
    """A request names a task, head, tier, model or input that does not exist; the message lists what does, or says why there is `none`."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, param: str | None = None, none: str = "there are none") -> None:
        listed, what = ", ".join(sorted(known)), kind.replace("_", " ")
        expected = f"{what} to be one of: {listed}" if listed else f"no {what}, as {none}"
        super().__init__(f"expected {expected}; got {cut(repr(name))}", param=param or kind)
        self.code = f"unknown_{kind}"


class InvalidValueError(ProactiveError):
    """A value is of the right type but out of range, or two values exclude each other."""

    code = "invalid_value"


class PromptTooLongError(ProactiveError):
    """Prompt, target and at least one source token do not fit into a KV slot together."""

    code = "prompt_too_long"


class LimitError(ProactiveError):
    """A caller is over one of its limits, or the server over its own. `retry_after` is in seconds, where waiting helps."""

    def __init__(self, code: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after


class NoCapacityError(LimitError):
    """Every KV slot is taken."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__("no_capacity", message, retry_after=retry_after)


class BadStateError(ProactiveError):
    """The message is valid but not allowed now, such as source after `source.end`."""

    code = "bad_state"


class SignalError(ProactiveError):
    """A decision head got, or returned, something that is not a finite number of the expected shape."""

    code = "bad_signal"


class HeadError(ProactiveError):
    """A decision head of another package cannot be used: it cannot be built, or does not keep to the protocol of heads/base.py."""

    code = "bad_head"


class MissingInputError(ProactiveError):
    """A task declares an input that the request does not give."""

    code = "missing_input"
