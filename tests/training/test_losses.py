"""The three losses against numbers worked out by hand."""

from math import log

import pytest
import torch

from errors import InvalidValueError
from training.losses.batch_nll import batch_nll
from training.losses.ctc import ctc
from training.losses.hindsight import hindsight
from training.losses.mslm import mslm
from training.losses.spsd import spsd
from training.objective import Loss, losses


def logits(*rows: list[float]) -> torch.Tensor:
    """Rows of probabilities, as logits that are not normalised."""
    return torch.tensor(rows, dtype=torch.float64).log() + 3.0


def test_batch_nll_is_the_sum_of_minus_log_p_of_the_labels() -> None:
    found = batch_nll(logits([0.5, 0.25, 0.25], [0.1, 0.1, 0.8]), torch.tensor([1, 2]))
    assert float(found) == pytest.approx(-log(0.25) - log(0.8))


def test_mslm_is_the_mean_over_views_of_the_sums() -> None:
    views = torch.stack([logits([0.5, 0.5], [0.9, 0.1]), logits([0.2, 0.8], [0.3, 0.7])])
    found = mslm(views, torch.tensor([0, 1]))
    assert float(found) == pytest.approx(-(log(0.5) + log(0.1) + log(0.2) + log(0.7)) / 2)


def test_spsd_is_the_kl_over_the_teachers_best_and_one_bucket_for_the_rest() -> None:
    teacher, student = logits([0.5, 0.3, 0.15, 0.05]), logits([0.1, 0.2, 0.3, 0.4])
    by_hand = 0.5 * log(0.5 / 0.1) + 0.3 * log(0.3 / 0.2) + 0.2 * log(0.2 / 0.7)
    assert float(spsd(teacher, student[None], 2)) == pytest.approx(by_hand)
    whole = 0.5 * log(0.5 / 0.1) + 0.3 * log(0.3 / 0.2) + 0.15 * log(0.15 / 0.3) + 0.05 * log(0.05 / 0.4)
    for top_k in (4, 100):
        assert float(spsd(teacher, student[None], top_k)) == pytest.approx(whole)
    assert by_hand < whole
    other = logits([0.25, 0.25, 0.25, 0.25])
    both = spsd(teacher, torch.stack([student, other]), 2)
    assert float(both) == pytest.approx((by_hand + float(spsd(teacher, other[None], 2))) / 2)


def test_the_teacher_learns_nothing_and_the_student_is_pulled_to_it() -> None:
    teacher = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    student = torch.randn(2, 5, 7, dtype=torch.float64, requires_grad=True)
    spsd(teacher, student, 3).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().max() > 0
    same = teacher.detach()[None].clone().requires_grad_()
    spsd(teacher, same, 3).backward()
    assert same.grad is not None
    assert float(same.grad.abs().max()) < 1e-12


def test_spsd_stays_finite_next_to_a_certain_teacher_and_a_certain_student() -> None:
    sure, other = torch.tensor([[200.0, 0.0, 0.0, 0.0]]), torch.tensor([[0.0, 200.0, 0.0, 0.0]])
    for teacher, student in ((sure, other), (other, sure), (sure, sure)):
        leaf = student[None].clone().requires_grad_()
        found = spsd(teacher, leaf, 1)
        found.backward()
        assert torch.isfinite(found)
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()


def test_ctc_sums_over_every_place_at_which_the_tokens_may_be() -> None:
    """Tokens 0 and 1, and the end, which is not heard behind the tokens and stands for the blank."""
    first = logits([0.6, 0.1, 0.3], [0.2, 0.5, 0.3])
    one = ctc(first, [2], torch.tensor([0, 2]), [2])
    assert float(one) == pytest.approx(-log(0.6 * 0.2 + 0.6 * 0.3 + 0.3 * 0.2))
    two = ctc(first, [2], torch.tensor([0, 1, 2]), [3])
    assert float(two) == pytest.approx(-log(0.6 * 0.5))
    second = logits([0.1, 0.1, 0.8], [0.3, 0.3, 0.4], [0.5, 0.25, 0.25])
    both = ctc(torch.cat([first, second]), [2, 3], torch.tensor([0, 2, 1, 1, 2]), [2, 3])
    beside_text = ctc(first, [2, 0], torch.tensor([0, 2, 0, 2]), [2, 2])
    assert float(beside_text) == pytest.approx(float(one))
    alone = ctc(second, [3], torch.tensor([1, 1, 2]), [3])
    assert float(alone) == pytest.approx(-log(0.1 * 0.4 * 0.25))  # the same token twice needs a blank between
    assert float(both) == pytest.approx(float(one + alone))


def test_ctc_goes_over_the_used_tokens_alone_and_is_that_of_all() -> None:
    labels = torch.tensor([7, 3, 3, 11, 5, 11])
    parts = []
    for whole in (False, True):  # with every token among the labels, of an example that is not heard, none is folded
        scores = torch.randn(9, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
        more = [*range(11), 11] if whole else []
        found = ctc(scores, [5, 4, 0][: 2 + whole], torch.tensor([*labels.tolist(), *more]), [4, 2, 12][: 2 + whole])
        found.backward()
        assert scores.grad is not None
        parts.append((found.detach(), scores.grad))
    torch.testing.assert_close(parts[0], parts[1], rtol=1e-9, atol=1e-12)


def test_another_blank_than_the_end_token() -> None:
    first = logits([0.6, 0.1, 0.3], [0.2, 0.5, 0.3])
    one = ctc(first, [2], torch.tensor([0, 2]), [2], blank=1)
    assert float(one) == pytest.approx(-log(0.6 * 0.2 + 0.6 * 0.5 + 0.1 * 0.2))
    with pytest.raises(InvalidValueError, match="expected targets without the blank, token 1"):
        ctc(first, [2], torch.tensor([1, 2]), [2], blank=1)


def test_ctc_of_more_tokens_than_are_heard_is_nothing() -> None:
    scores = torch.randn(2, 4, requires_grad=True)
    found = ctc(scores, [2], torch.tensor([0, 1, 2, 3]), [4])
    found.backward()
    assert float(found.detach()) == 0
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_hindsight_is_the_distance_from_the_teacher_in_units_of_its_spread() -> None:
    spread = torch.tensor([4.0, 0.5])
    known = torch.tensor([[1.0, 0.0], [3.0, 0.0], [5.0, 6.0]])
    heard = torch.tensor([[1.0, 2.0], [2.0, 0.0], [5.0, 6.0]])
    assert float(hindsight(heard, known, spread)) == pytest.approx((4 / 0.5 + 1 / 4) / 2)
    alone = [float(hindsight(heard[at : at + 1], known[at : at + 1], spread)) for at in range(3)]
    assert sum(alone) == pytest.approx(float(hindsight(heard, known, spread)))  # whatever shares a batch
    assert float(hindsight(known, known, torch.zeros(2))) == 0


def test_the_objective_weighs_the_three_and_leaves_out_what_is_switched_off() -> None:
    torch.manual_seed(0)
    all_logits, labels = torch.randn(3, 4, 9, dtype=torch.float64), torch.tensor([1, 2, 3, 4])
    found = losses(Loss.model_validate({"lambda": 0.25, "top_k": 5, "views": 2}), all_logits, labels)
    assert float(found.batch) == pytest.approx(float(batch_nll(all_logits[0], labels)))
    assert float(found.mslm) == pytest.approx(float(mslm(all_logits[1:], labels)))
    assert float(found.spsd) == pytest.approx(float(spsd(all_logits[0], all_logits[1:], 5)))
    assert float(found.total) == pytest.approx(float(found.batch + found.mslm + 0.25 * found.spsd))
    assert found.predictions == 4
    plain = losses(Loss(mslm=False, spsd=False), all_logits[:1], labels)
    assert float(plain.total) == float(plain.batch)
    assert float(plain.mslm) == float(plain.spsd) == 0
    heard = losses(Loss(mslm=False, spsd=False, ctc=0.5), all_logits[:1], labels, torch.tensor(7.0))
    assert float(heard.total) == pytest.approx(float(plain.batch) + 3.5)
    assert float(heard.ctc) == 7
    taught = losses(Loss(mslm=False, spsd=False, hindsight=0.1), all_logits[:1], labels, missed=torch.tensor(20.0))
    assert float(taught.total) == pytest.approx(float(plain.batch) + 2)
    assert float(taught.hindsight) == 20
    stream = losses(Loss(batch=False, spsd=False), all_logits[1:], labels)
    assert float(stream.total) == float(found.mslm)


@pytest.mark.parametrize(
    ("loss", "copies"),
    [
        (Loss(), 2),
        (Loss(views=4), 5),
        (Loss(mslm=False, spsd=False, views=4), 1),
        (Loss(batch=False, spsd=False), 1),
        (Loss(batch=False, mslm=False), 2),
    ],
)
def test_only_the_views_that_a_loss_looks_at_are_packed(loss: Loss, copies: int) -> None:
    assert loss.copies == copies


def test_losses_of_bfloat16_logits_are_computed_in_float32() -> None:
    """A model that is sharded in bfloat16 gives its logits so; a sum of logarithms in bfloat16 has two digits."""
    torch.manual_seed(0)
    halves, labels = torch.randn(2, 40, 300).bfloat16(), torch.arange(40)
    found, exact = losses(Loss(), halves, labels), losses(Loss(), halves.float(), labels)
    assert found.total.dtype is torch.float32
    assert float(found.total) == float(exact.total)
