"""The verdict of a claim, from those of its findings."""

import pytest

from claims.claim import Claim, Finding


@pytest.mark.parametrize(
    ("held", "least", "expected"),
    [
        ([True, True], None, "holds"),
        ([True, False], None, "not shown"),
        ([True, None], None, "not run"),
        ([False, None], None, "not shown"),
        ([], None, "not run"),
        ([True, True, False], 2, "holds"),
        ([True, True, None], 2, "holds"),
        ([True, False, None], 2, "not run"),
        ([True, False, False], 2, "not shown"),
    ],
)
def test_a_claim_holds_only_by_what_was_run(held: list[bool | None], least: int | None, expected: str) -> None:
    assert Claim("H", "", "", [Finding("", one) for one in held], least=least).judgement == expected
