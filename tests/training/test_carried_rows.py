"""What `carried` trains is what is served behind a seam: every probe's logits equal the packed stream view's row."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.actions import Append, End
from engine.request import Request
from engine.session import Session
from tasks import Task
from tasks.example import Example
from tests import tiny
from tests.engine import copyist
from tests.training import examples
from tests.training.test_served_rows import TOLERANCE, Probed, chunks, offline, recorded, trained
from training.budget import Budget
from training.data import Views, last_sentence
from training.objective import Loss
from training.views import collate, pack

TASK = tiny.TASKS["words"]


def serve(text: str, rng: Random, family: str, offset: int) -> tuple[Session, list[list[Probed]], list[list[int]]]:
    """One session that copies, and whose head decides by lot: its probes and the phi of what it wrote, in the slot, by use of the slot."""
    engine = tiny.engine(slots=1, length=110, family=family, offset=offset)
    probed: list[list[Probed]] = [[]]
    committed: list[list[int]] = [[]]
    with recorded(engine.checkpoint.backbone) as seen:
        session = engine.open(Request("words", head="entropy", threshold=0.5, rollover=True))
        ask = session.decide

        def decide(_: float | None, __: int) -> bool:
            row, logits = seen.pop()
            control, carried = session.controller, session.rows.written - len(committed[-1])
            phi = session.visible + control.everything
            before = (session.rows.carried_units,) * carried + tuple(committed[-1])
            probed[-1].append(Probed(row.index - len(session._frame.header) + 1, row.visible, phi, before, logits))
            length, seams = len(control.trajectory), len(session.seams)
            ask(rng.choice((0.0, 1.0)), copyist.next_token(engine, session))
            committed[-1].extend([phi] * (len(control.trajectory) - length))
            if len(session.seams) > seams:
                probed.append([])
                committed.append([])
            return False

        session.decide = decide  # type: ignore[method-assign]
        for message in (*map(Append, chunks(text, rng)), End()):
            session.send(message)
        tiny.finish(engine, session)
    return session, probed, committed


@pytest.mark.parametrize(("family", "offset"), [("qwen2", 0), ("llama", 37)])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_probes_behind_a_seam_are_the_rows_of_a_carried_example(family: str, offset: int, seed: int) -> None:
    rng = Random(seed)
    size = rng.randint(1, 2)
    text = copyist.text(22, sentence=size) + rng.choice(("", " "))
    session, probed, committed = serve(text, rng, family, offset)
    words = text.split()
    bounds = [0, *session.seams, len(words)]
    assert len(bounds) > 3
    for use in range(1, len(bounds) - 1):
        first, last = bounds[use], bounds[use + 1]
        if first == last:
            continue  # the source ended at the seam
        sentence = " ".join(words[first - size : first])
        here = " ".join(words[first:last])
        blank = " " * (last < len(words) or text.endswith(" "))
        carried = Example("carried", sentence, (sentence,))
        encoded = examples.encoder(offset=offset).encode(Example("rest", here + blank, (here,)), TASK, "here", carried)
        units, tokens = encoded.carried
        assert units == size
        written = encoded.target[:-1].tolist()  # a copy is its own reference
        some = rng.sample(probed[use], min(len(probed[use]), 6))
        rows = trained(family, encoded, written, some, offset)
        served = torch.stack([probe.logits for probe in some])
        torch.testing.assert_close(rows, served, atol=TOLERANCE, rtol=0)
        # And the trajectory is one that training draws from.
        phi = np.array([*[units] * tokens, *committed[use], encoded.count + 1])
        assert replace(encoded, forbid_end=True).served(phi).tolist() == phi.tolist()


def test_the_proof_can_fail() -> None:
    """Were carried tokens to see one unit less, the logits would be off by far more than the tolerance."""
    sentence = "The dog sat down."
    item = examples.encoder().encode(
        Example("rest", "It slept.", ("Er schlief.",)), TASK, "here", Example("carried", sentence, ("Der Hund.",))
    )
    (phi,) = Views(Loss(batch=False), Budget(), 0).phis(item, np.random.default_rng(0))
    wrong = phi.copy()
    wrong[: item.carried[1]] -= 1
    with torch.inference_mode():
        right, off = (offline("qwen2")(collate([pack(item, [one], batch_view=False, offset=0)])).logits for one in (phi, wrong))
    assert (right - off).abs().max() > 10 * TOLERANCE


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ("One. Two three.", "Eins. Zwei drei.", ("Two three.", "Zwei drei.")),
        ("One. Two three.", "Eins und zwei drei.", ("One. Two three.", "Eins und zwei drei.")),
        ("Open file", "Datei öffnen", None),
    ],
)
def test_what_is_carried_is_a_last_sentence(source: str, target: str, found: tuple[str, str] | None) -> None:
    last = last_sentence(Example("a", source, (target,)))
    assert (last and (last.source, last.references[0])) == found


def carried_item(task: Task = TASK) -> tuple[np.ndarray, int, int, int]:
    encoder = examples.encoder()
    item = encoder.encode(
        Example("b", "It slept there.", ("Er schlief dort.",)), task, "here", Example("a", "The dog sat.", ("Der Hund.",))
    )
    (phi,) = Views(Loss(batch=False), Budget(), 0).phis(item, np.random.default_rng(3))
    return phi, *item.carried, item.count


def test_stream_views_begin_behind_what_is_carried() -> None:
    phi, units, tokens, count = carried_item()
    assert (units, count) == (3, 6)
    assert set(phi[:tokens]) == {3}
    assert phi[tokens:].min() > 3
    assert phi[-1] == count + 1
    assert (np.diff(phi) >= 0).all()


def test_there_is_no_loss_on_what_is_carried() -> None:
    encoder = examples.encoder()
    plain = encoder.encode(Example("b", "It slept.", ("Er schlief.",)), TASK, "here")
    item = encoder.encode(Example("b", "It slept.", ("Er schlief.",)), TASK, "here", Example("a", "The dog sat.", ("Der Hund.",)))
    packed = [pack(one, [np.full(len(one.target), one.count + 1)], batch_view=True, offset=0) for one in (plain, item)]
    batch = collate(packed)
    assert [one.predictions for one in packed] == [len(plain.target), len(item.target) - item.carried[1]]
    assert batch.labels.tolist() == [*plain.target, *item.target[item.carried[1] :]]
    assert batch.rows.shape == (2, len(batch.labels))
    rows = batch.step.flatten()[batch.rows]
    shared = len(item.header) - 1
    expected = [*range(shared, shared + len(plain.target)), *range(shared + item.carried[1], shared + len(item.target))]
    assert rows.tolist() == [expected] * 2
