"""Which CI system a step takes itself to run on."""

from __future__ import annotations

import pytest

from reconciler.ci.providers import SIGNS, choose
from reconciler.errors import UsageError
from tests.support.cli import run_here


@pytest.mark.parametrize(("name", "sign"), SIGNS.items())
def test_the_environment_says_which(name: str, sign: str) -> None:
    assert choose({sign: "True"}) == name


@pytest.mark.parametrize("environment", [{}, dict.fromkeys(SIGNS.values(), "false")])
def test_nothing_is_guessed(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="which CI system runs this step is unknown"):
        choose(environment)


def test_a_step_outside_of_any_pipeline_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for sign in SIGNS.values():
        monkeypatch.delenv(sign, raising=False)
    ended = run_here("ci", "decide")
    assert ended.code == 1
    assert "pass --provider" in ended.err
