"""Every file of tests/cases/manifest against what stands beside it.

A case is a file, or a folder of files, with its expectation in `NAME.expect`: the problems, or the rows that it comes
to in the world of `fleet.plant`, with who decided them and what that overrode, the warnings, and the requests it took.

    RECONCILER_REWRITE_CASES=1 pytest tests/manifest/test_cases.py     writes the expectations; read the git diff
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

import pytest
import yaml

from reconciler.discovery import discover
from reconciler.errors import Problem, ReconcilerError
from reconciler.manifest.comparing.symbolic import resolve_symbolically
from reconciler.manifest.files import DiskFiles
from reconciler.manifest.load import Loaded, load, load_manifests
from reconciler.manifest.syntax import fastest_parser
from reconciler.model.rules import Limits, Rules
from reconciler.model.state import Decision
from reconciler.planner.resolution.selector import selector_text
from tests.manifest.fleet import plant

CASES = Path(__file__).parents[1] / "cases" / "manifest"
TODAY = date(2026, 6, 15)
BROKEN = "not valid YAML"
REWRITE = os.environ.get("RECONCILER_REWRITE_CASES")


def cases(*kinds: str) -> list[Path]:
    """The cases of some kinds: `valid`, `invalid` (found offline), `unknown` (found by asking the API)."""
    found = [path for kind in kinds for path in sorted((CASES / kind).iterdir()) if path.suffix != ".expect"]
    assert found
    return found


def name(case: Path) -> str:
    return f"{case.parent.name}/{case.name}"


@pytest.fixture(scope="session")
def work_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cases in a git work tree, wherever the tests themselves lie."""
    root = tmp_path_factory.mktemp("tree")
    (root / ".git").mkdir()
    shutil.copytree(CASES, root / "cases")
    return root / "cases"


@pytest.fixture
def at_cases(work_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work_tree)


def loaded(case: Path) -> Loaded:
    return load([case.relative_to(CASES)], DiskFiles())


@pytest.mark.usefixtures("at_cases")
@pytest.mark.parametrize("case", cases("valid", "invalid", "unknown"), ids=name)
def test_case_comes_to_what_it_says(case: Path) -> None:
    got = outcome(case)
    expectation = case.with_suffix(".expect")
    if REWRITE:
        expectation.write_text(got, encoding="utf-8")
    assert got == expectation.read_text(encoding="utf-8")
    assert got.startswith("refused") == (case.parent.name != "valid")


@pytest.mark.usefixtures("at_cases")
@pytest.mark.parametrize("case", cases("valid", "invalid", "unknown"), ids=name)
def test_libyaml_and_the_pure_parser_agree(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the rules, or on the problems; where the YAML itself is broken, on the file."""
    if fastest_parser() is yaml.SafeLoader:
        pytest.skip("PyYAML is without libyaml here")
    fast = loaded(case)
    monkeypatch.setattr("reconciler.manifest.syntax.fastest_parser", lambda: yaml.SafeLoader)
    pure = loaded(case)
    assert fast.rules == pure.rules
    if any(map(is_broken, fast.problems)):
        assert {problem.path for problem in fast.problems} == {problem.path for problem in pure.problems}
    else:
        assert fast.problems == pure.problems


def outcome(case: Path) -> str:
    try:
        rules = load_manifests([case.relative_to(CASES)])
        problems = [problem for one in rules for problem in resolve_symbolically(one).resolution.problems]
        return refused(problems) if problems else "".join(told(one) for one in rules)
    except ReconcilerError as error:
        return refused(error.problems)


def refused(problems: Iterable[Problem]) -> str:
    """The problems. Where the YAML itself is broken, words and place are those of whichever library reads it."""
    return "refused\n" + "".join(
        f"{Problem(BROKEN, problem.path, hint=problem.hint) if is_broken(problem) else problem}\n"
        for problem in problems
    )


def is_broken(problem: Problem) -> bool:
    return problem.message.startswith(f"{BROKEN}: ")


def told(rules: Rules) -> str:
    """What one application's rules come to in the plant."""
    api = plant(rules.kind)
    lines = [f"{word} {text}" for word, text in rollouts_text(rules)]
    world = asyncio.run(discover(rules, api, today=TODAY))
    names = {**world.flow_names, **{flow_id: alias for alias, flow_id in world.aliases.items()}}
    lines = [f"application {rules.application.id} {rules.kind}", *lines]
    if rules.limits != Limits():
        lines.append(f"limits {limits_text(rules.limits)}")
    lines += [
        f"{world.device_names.get(device, device)} {names.get(flow, flow)} = {decision_text(decision)}"
        for device, flow, decision in world.desired.rows()
    ]
    lines += [f"protected device={p.device_id} flow={p.flow_id} forbid={p.forbid} {p.place}" for p in world.protected]
    lines += [f"warning {warning.place}: {warning.message} ({warning.hint})" for warning in world.warnings]
    lines += [f"refused {one.place}: {one.message} ({one.hint})" for one in world.empty_groups]
    requests = Counter(api.actions())
    lines.append("requests " + ", ".join(f"{action} x{count}" for action, count in sorted(requests.items())))
    return "\n".join(lines) + "\n"


def decision_text(decision: Decision) -> str:
    overrides = "".join(f", over {decision_text(one)}" for one in decision.overrides)
    return f"{decision.version or 'absent'} by {decision.rule} {decision.place}:{decision.place.column}{overrides}"


def rollouts_text(rules: Rules) -> Iterator[tuple[str, str]]:
    for name, policy in rules.policies.items():
        waves = "; ".join(f"{selector_text(one.select, policy.name)} {one.place.column}" for one in policy.waves)
        yield "policy", f"{name} {policy.place}:{policy.place.column}: {waves}"
        yield "  gate", f"{policy.gate.converged} {policy.gate.soak_s} {policy.gate.sample}"
        yield "  other", f"{policy.patience_s} {policy.budget} {policy.window}"
    for group in rules.groups:
        if group.rollout:
            yield "rollout", f"{group.name} = {group.rollout.policy} up to {group.rollout.up_to} {group.rollout.place}"


def limits_text(limits: Limits) -> str:
    parts = ("removals_count", "removals_percent", "changes_count", "changes_percent")
    return " ".join(f"{part}={getattr(limits, part)}" for part in parts)


def test_the_list_of_rules_names_every_case_and_no_other() -> None:
    listed = re.findall(r"`((?:valid|invalid|unknown)/[^`]+)`", (CASES / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(name(case.with_suffix("")) for case in cases("valid", "invalid", "unknown"))


def test_every_expectation_has_its_case() -> None:
    wanted = {case.with_suffix(".expect") for case in cases("valid", "invalid", "unknown")}
    assert set(CASES.rglob("*.expect")) == wanted
