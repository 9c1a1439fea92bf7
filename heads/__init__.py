"""Decision heads: `HEADS` is the registry. A new head is one file here and one line below, or an entry point in `proactivellm.heads`.

A leaf: knows nothing of backbones, engine or server.
"""

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import TypeAdapter, ValidationError

from errors import InvalidValueError, UnknownNameError
from heads.align_att import AlignAtt
from heads.attention import Attention
from heads.base import DecisionHead, Signals, checked_scores
from heads.entropy import Entropy
from heads.fixed_chunk import FixedChunk
from heads.fixed_fraction import FixedFraction
from heads.full import Full
from heads.mass import Mass
from heads.random_gate import RandomGate
from heads.wait_k import WaitK

__all__ = ["HEADS", "DecisionHead", "Signals", "checked_scores", "create", "known"]

HEADS: dict[str, type[DecisionHead]] = {
    "entropy": Entropy,
    "attention": Attention,
    "mass": Mass,
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
    third_party = {entry.name: entry.load() for entry in entry_points(group="proactivellm.heads")}
    return {**third_party, **HEADS}


def create(name: str, **params: Any) -> DecisionHead:
    """A head by name. Raises UnknownNameError with the list of heads, InvalidValueError for a parameter."""
    if name not in known():
        raise UnknownNameError("head", name, known())
    head: TypeAdapter[DecisionHead] = TypeAdapter(known()[name])
    parameters = head.json_schema().get("properties", {})  # by alias, as requests write them
    for param in params:
        if param not in parameters:
            raise UnknownNameError("head_parameter", param, parameters, param=f"head.{param}")
    try:
        return head.validate_python(params)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise InvalidValueError(f"head {name!r}, parameter {where!r}: {fault['msg']}", param=f"head.{where}") from None
