"""Decision heads: `HEADS` is the registry. A new head is one file here and one line below, or an entry point in `proactivellm.heads`.

A leaf: knows nothing of backbones, engine or server.
"""

import json
import logging
from dataclasses import is_dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import TypeAdapter, ValidationError

from errors import HeadError, InvalidValueError, UnknownNameError, cut, in_our_words
from heads.align_att import AlignAtt
from heads.attention import Attention
from heads.base import DecisionHead, Need, Signals, checked_needs, checked_scores, told
from heads.entropy import Entropy
from heads.fixed_chunk import FixedChunk
from heads.fixed_fraction import FixedFraction
from heads.full import Full
from heads.mass import Mass
from heads.random_gate import RandomGate
from heads.wait_k import WaitK
from heads.weighted import Weighted

__all__ = ["HEADS", "DecisionHead", "Need", "Signals", "checked_needs", "checked_scores", "create", "known"]

log = logging.getLogger(__name__)

HEADS: dict[str, type[DecisionHead]] = {
    "entropy": Entropy,
    "attention": Attention,
    "mass": Mass,
    "weighted": Weighted,
    "align_att": AlignAtt,
    "wait_k": WaitK,
    "fixed_chunk": FixedChunk,
    "fixed_fraction": FixedFraction,
    "random_gate": RandomGate,
    "full": Full,
}


@cache
def known() -> dict[str, type[DecisionHead]]:
    """The registry and the heads of installed packages. A third party cannot replace a head of ours: its name would lie."""
    third_party = {}
    for entry in entry_points(group="proactivellm.heads"):
        try:
            third_party[entry.name] = entry.load()
        except Exception as error:  # a package that is broken costs its own heads, not the others
            log.warning("decision head %r of another package is left out: %s", entry.name, told(error))
    return {**third_party, **HEADS}


def create(name: str, **params: Any) -> DecisionHead:
    """A head by name, with parameters as JSON has them: a number in quotes is not a number.

    Raises UnknownNameError with the list of heads or parameters, InvalidValueError for a value, HeadError for a third party's fault.
    """
    if name not in known():
        raise UnknownNameError("head", name, known())
    try:
        adapter, parameters = _adapter(known()[name])
    except Exception as error:
        raise HeadError(f"expected head {name!r} to be a dataclass, got {told(error)}", param="head") from error
    for param in params:
        if param not in parameters:
            raise UnknownNameError("head_parameter", param, parameters, param=f"head.{param}", none=f"head {name!r} has none")
    try:
        given = json.dumps(params, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidValueError(f"expected parameters that JSON can hold, got {told(error)}", param="head") from None
    try:
        head = adapter.validate_json(given, strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        where = cut(".".join(map(str, ("head", *fault["loc"]))))
        raise InvalidValueError(f"{where}: {in_our_words(fault['msg'])}", param=where) from None
    except Exception as error:
        raise HeadError(f"expected head {name!r} to take its parameters, got {told(error)}", param="head") from error
    checked_needs(head)
    return head


@cache
def _adapter(head: type[DecisionHead]) -> tuple[TypeAdapter[DecisionHead], frozenset[str]]:
    """What builds the head, and the names of its parameters, by alias, as requests write them."""
    if not is_dataclass(head):
        raise TypeError(f"{head!r}")
    adapter: TypeAdapter[DecisionHead] = TypeAdapter(head)
    return adapter, frozenset(adapter.json_schema().get("properties", {}))
