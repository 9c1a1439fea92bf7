"""Every head on hand-made signals and at its limits; scores are pure functions of a probe's signals."""

from dataclasses import replace
from math import inf, log, nan

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import heads
from errors import InvalidValueError, SignalError, UnknownNameError
from heads.base import Signals, checked_scores

EVERY = ("entropy", "attention", "mass", "weighted", "align_att", "wait_k", "fixed_chunk", "fixed_fraction", "random_gate", "full")
V = 100
REQUIRED: dict[str, dict[str, object]] = {"fixed_fraction": {"source_length": 4}}


def signals(attention: list[list[float]] | None = None, *, phi: list[int] | None = None, **changes: object) -> Signals:
    """B probes over the rows of `attention`; phi defaults to their width."""
    rows = torch.tensor(attention if attention is not None else [[0.2, 0.5, 0.1]])
    count = rows.shape[0]
    made = Signals(
        phi=torch.tensor(phi if phi is not None else [rows.shape[1]] * count),
        written=torch.zeros(count, dtype=torch.long),
        index=torch.zeros(count, dtype=torch.long),
        log_vocab=log(V),
        entropy=torch.full((count,), 1.0),
        attention=rows,
        history=torch.zeros_like(rows),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # fields by name


def create(name: str, **params: object) -> heads.DecisionHead:
    return heads.create(name, **{**REQUIRED.get(name, {}), **params})


def score(name: str, given_signals: Signals, **params: object) -> list[float]:
    return checked_scores(create(name, **params), given_signals)


def test_entropy_is_one_when_certain_and_zero_when_uniform() -> None:
    h = torch.tensor([0.0, log(V) / 2, log(V)])
    assert score("entropy", signals([[1.0]] * 3, entropy=h)) == pytest.approx([1.0, 0.5, 0.0], abs=1e-6)


def test_a_weighted_score_is_the_sum_of_certainty_attention_and_lag() -> None:
    rows, h = [[0.2, 0.5, 0.1], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], torch.tensor([0.0, log(V) / 2, log(V) / 2])
    given_signals = signals(rows, entropy=h, written=torch.tensor([1, 1, 4]))
    assert score("weighted", given_signals, mass=0.5, lag=0.1) == pytest.approx([1.6, 0.7, 0.4], abs=1e-6)
    assert score("weighted", given_signals, mass=0, lag=0) == pytest.approx(score("entropy", given_signals))
    assert heads.create("weighted", mass=0).needs == {"entropy"}


def test_peak_is_the_largest_attention_to_one_unit() -> None:
    assert score("attention", signals([[0.2, 0.5, 0.1], [0.0, 0.0, 0.3]])) == pytest.approx([0.5, 0.3])


def test_focus_counts_the_fewest_units_that_hold_rho_of_the_mass() -> None:
    rows = [[0.9, 0.05, 0.05, 0.0], [0.1, 0.1, 0.1, 0.1], [0.0, 0.25, 0.25, 0.0]]
    assert score("attention", signals(rows), score="focus", rho=0.9) == pytest.approx([0.75, 0.0, 0.5])


def test_focus_of_one_unit_is_zero_and_never_exceeds_one_minus_one_over_phi() -> None:
    assert score("attention", signals([[0.7]]), score="focus") == [0.0]
    assert score("attention", signals([[0.7] + [0.0] * 9]), score="focus") == pytest.approx([0.9])


def test_focus_of_no_attention_at_all_is_zero() -> None:
    assert score("attention", signals([[0.0, 0.0]]), score="focus") == [0.0]


def test_focus_counts_visible_units_only() -> None:
    """Padding to the widest probe of the tick must not look like units that hold nothing."""
    assert score("attention", signals([[0.4, 0.4, 0.0, 0.0]], phi=[2]), score="focus") == pytest.approx([0.0])


def test_accumulation_averages_over_the_target_so_far() -> None:
    known = signals([[0.2, 0.4]], history=torch.tensor([[1.0, 0.2]]), index=torch.tensor([2]))
    assert score("attention", known, accumulate=True) == pytest.approx([0.4])
    assert "history" in heads.create("attention", accumulate=True).needs
    assert "history" not in heads.create("attention").needs


def test_frontier_vetoes_while_the_newest_units_hold_more_than_alpha() -> None:
    rows = [[0.1, 0.1, 0.6], [0.6, 0.1, 0.1], [0.5, 0.0, 0.5]]
    assert score("attention", signals(rows), frontier=1, alpha=0.5) == [-inf, pytest.approx(0.6), pytest.approx(0.5)]


def test_frontier_is_counted_from_each_probes_own_phi() -> None:
    assert score("attention", signals([[0.1, 0.6, 0.0]], phi=[2]), frontier=1) == [-inf]


def test_mass_is_what_goes_to_the_source() -> None:
    assert score("mass", signals([[0.2, 0.5, 0.1], [0.0, 0.0, 0.0]])) == pytest.approx([0.8, 0.0])


def test_align_att_counts_the_units_after_the_most_attended() -> None:
    rows = [[0.9, 0.0, 0.0, 0.0], [0.0, 0.0, 0.9, 0.0], [0.0, 0.0, 0.0, 0.9]]
    assert score("align_att", signals(rows)) == [3.0, 1.0, 0.0]
    # f = 2: READ while the argmax is one of the last two units.
    threshold = heads.create("align_att").default_threshold
    assert [value >= threshold for value in score("align_att", signals(rows))] == [True, False, False]


def test_wait_k_is_words_read_minus_words_written() -> None:
    assert score("wait_k", signals([[0.0] * 5] * 2, phi=[5, 2], written=torch.tensor([1, 4]))) == [4.0, -2.0]


def test_fixed_chunk_allows_r_words_for_every_n_read() -> None:
    made = [score("fixed_chunk", signals(phi=[n], written=torch.tensor([0])), n=3, r=2)[0] for n in range(8)]
    assert made == [0, 0, 0, 2, 2, 2, 4, 4]
    assert score("fixed_chunk", signals(phi=[3], written=torch.tensor([2])), n=3, r=2) == [0.0]


def test_fixed_fraction_reaches_its_share_of_the_source_exactly() -> None:
    made = score("fixed_fraction", signals([[0.0] * 10] * 3, phi=[6, 7, 10]), source_length=10)
    assert [value >= 0.7 for value in made] == [False, True, True]
    assert made[-1] == 1.0
    with pytest.raises(InvalidValueError, match="source_length"):
        heads.create("fixed_fraction")


def test_random_gate_draws_anew_for_every_word_read_and_token_written_and_nothing_else() -> None:
    many = signals([[0.0]] * 400, phi=[1 + i % 20 for i in range(400)], index=torch.tensor([i // 20 for i in range(400)]))
    drawn = score("random_gate", many, seed=3)
    assert drawn == score("random_gate", many, seed=3) != score("random_gate", many, seed=4)
    assert len(set(drawn)) == 400
    assert sum(value >= 0.8 for value in drawn) / 400 == pytest.approx(0.2, abs=0.06)


def test_full_never_reaches_a_threshold() -> None:
    assert score("full", signals()) == [-inf]


@pytest.mark.parametrize("name", ["attention", "mass", "align_att"])
def test_an_empty_source_is_never_sufficient(name: str) -> None:
    head = heads.create(name)
    assert score(name, signals([[]], phi=[0]))[0] < head.default_threshold
    assert score(name, signals([[0.0, 0.0]], phi=[0]))[0] < head.default_threshold


@pytest.mark.parametrize("name", ["entropy", "attention", "mass", "weighted"])
def test_nan_is_an_error_and_not_a_read_for_ever(name: str) -> None:
    broken = signals([[nan, 0.1]], entropy=torch.tensor([nan]))
    with pytest.raises(SignalError, match="NaN"):
        score(name, broken)


@pytest.mark.parametrize("name", EVERY)
def test_a_head_reads_no_signal_that_it_does_not_declare(name: str) -> None:
    head = create(name)
    bare = replace(signals(), entropy=None, attention=None, history=None)
    if head.needs:
        with pytest.raises(SignalError, match="must name in `needs`"):
            checked_scores(head, bare)
    else:
        assert len(checked_scores(head, bare)) == 1


@pytest.mark.parametrize("name", EVERY)
@given(data=st.data())
def test_a_probes_score_does_not_depend_on_its_company(name: str, data: st.DataObject) -> None:
    width = st.integers(1, 6)
    rows = data.draw(st.lists(width.flatmap(lambda n: st.lists(st.floats(0, 1), min_size=n, max_size=n)), min_size=1, max_size=4))
    widest = max(map(len, rows))
    together = signals([row + [0.0] * (widest - len(row)) for row in rows], phi=[len(row) for row in rows])
    alone = [score(name, signals([row]))[0] for row in rows]
    assert score(name, together) == pytest.approx(alone, abs=1e-5)


def test_scores_of_the_wrong_shape_are_refused() -> None:
    class Sums:
        needs: frozenset[str] = frozenset()
        default_threshold = 0.0

        def score(self, given_signals: Signals) -> torch.Tensor:
            return given_signals.phi.sum().float()

    with pytest.raises(SignalError, match=r"shape \(2,\)"):
        checked_scores(Sums(), signals([[0.1]] * 2))  # type: ignore[arg-type]  # needs are wide on purpose


def test_a_head_that_raises_is_a_signal_error() -> None:
    class Raises:
        needs: frozenset[str] = frozenset()
        default_threshold = 0.0

        def score(self, _: Signals) -> torch.Tensor:
            raise ZeroDivisionError("of mine")

    with pytest.raises(SignalError, match=r"ZeroDivisionError.*of mine"):
        checked_scores(Raises(), signals())  # type: ignore[arg-type]  # needs are wide on purpose


def test_an_unknown_head_is_refused_with_the_list() -> None:
    with pytest.raises(UnknownNameError, match=", ".join(sorted(EVERY))) as refused:
        heads.create("oracle")
    assert refused.value.code == "unknown_head"


@pytest.mark.parametrize(
    ("name", "params", "code"),
    [
        ("attention", {"rho": 2.0}, "invalid_value"),
        ("weighted", {"lag": -0.1}, "invalid_value"),
        ("attention", {"score": "sum"}, "invalid_value"),
        ("attention", {"kind": "focus"}, "unknown_head_parameter"),  # requests say `score`
        ("attention", {"frontier": "5"}, "invalid_value"),
        ("attention", {"frontier": 2.0}, "invalid_value"),
        ("attention", {"frontier": True}, "invalid_value"),
        ("attention", {"accumulate": "yes"}, "invalid_value"),
        ("attention", {"accumulate": 1}, "invalid_value"),
        ("attention", {"alpha": "0.5"}, "invalid_value"),
        ("attention", {"frontier": 10**30}, "invalid_value"),
        ("fixed_chunk", {"n": 10**30}, "invalid_value"),
        ("fixed_chunk", {"r": 10**30}, "invalid_value"),
        ("fixed_fraction", {"source_length": 10**30}, "invalid_value"),
        ("random_gate", {"seed": 10**30}, "invalid_value"),
        ("fixed_chunk", {"n": 0}, "invalid_value"),
        ("entropy", {"k": 1}, "unknown_head_parameter"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(name: str, params: dict[str, object], code: str) -> None:
    with pytest.raises((InvalidValueError, UnknownNameError)) as refused:
        heads.create(name, **params)
    assert refused.value.code == code
    assert refused.value.param == f"head.{next(iter(params))}"


def test_every_head_of_the_registry_can_be_made_from_its_name() -> None:
    assert set(heads.HEADS) == set(EVERY)
    assert all(create(name).default_threshold == heads.HEADS[name].default_threshold for name in EVERY)
    assert hash(heads.create("attention")) == hash(heads.create("attention"))  # equal heads share one call a tick


def test_a_whole_number_is_a_number_and_the_largest_parameters_score() -> None:
    assert heads.create("attention", alpha=1) == heads.create("attention", alpha=1.0)
    most = 10**9
    assert score("attention", signals(), frontier=most) == [-inf]
    assert score("fixed_chunk", signals(phi=[5]), n=1, r=most) == [5 * most]
    assert score("fixed_chunk", signals(phi=[5]), n=most) == [0.0]


def test_a_parameter_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="JSON can hold"):
        heads.create("attention", alpha=nan)


def test_a_refused_value_is_told_in_our_words() -> None:
    with pytest.raises(InvalidValueError, match=r"^head\.rho: expected less than or equal to 1$"):
        heads.create("attention", rho=2.0)
