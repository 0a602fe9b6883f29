"""What loading promises beyond the cases: order does not matter, and many mistakes are as quick and clear as one."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import ManifestError
from reconciler.manifest.load import load_manifests
from reconciler.model.rules import Limits, Prune
from reconciler.model.state import Kind

APPLICATION = "575ec8687ae143cd83dc4a97"
HEAD = f"apiVersion: reconciler/v1\napplication: {APPLICATION}\n"


def problems_of(path: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load_manifests([path])
    return [str(problem) for problem in caught.value.problems]


def test_defaults(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HEAD)
    [rules] = load_manifests([tmp_path])
    assert rules.kind is Kind.EMBEDDED
    assert rules.prune is Prune.OFF
    assert rules.limits == Limits(removals_count=10, removals_percent=10, changes_count=None, changes_percent=None)  # type: ignore[arg-type]


def test_two_thousand_mistakes_in_one_file_are_all_told_in_order(tmp_path: Path) -> None:
    mistakes = ["develop", "~", "[x]", "{a: b}"]
    lines = [f"  device-{n}: {{flow: {mistakes[n % 4]}}}" for n in range(2_000)]
    (tmp_path / "a.yaml").write_text(HEAD + "devices:\n" + "\n".join(lines) + "\n")
    found = problems_of(tmp_path)
    assert len(found) == 2_000
    assert [int(problem.split(":")[1]) for problem in found] == list(range(4, 2_004))


def test_two_thousand_mistakes_of_grammar_are_all_told(tmp_path: Path) -> None:
    lines = [f"  device-{n % 10}: {{flow: v1}}" for n in range(2_010)]
    (tmp_path / "a.yaml").write_text(HEAD + "devices:\n" + "\n".join(lines) + "\n")
    found = problems_of(tmp_path)
    assert len(found) == 2_000
    assert all("duplicate key" in problem for problem in found)


def test_problems_are_sorted_by_place_and_name_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "cab":
        Path(f"{name}.yaml").write_text(HEAD + "x: 1\ny: 2\n")
    found = [problem.partition(" ")[0] for problem in problems_of(Path())]
    assert found == ["a.yaml:3:1:", "a.yaml:4:1:", "b.yaml:3:1:", "b.yaml:4:1:", "c.yaml:3:1:", "c.yaml:4:1:"]


@pytest.mark.parametrize("order", list(itertools.permutations(["a.yaml", "b.yaml", "c.yaml"])))
def test_the_order_of_paths_and_keys_does_not_matter(
    order: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(HEAD + "devices: {b: {f: v1}, a: {g: v1}}\n")
    Path("b.yaml").write_text(HEAD + "groups: {y: {select: {all: true}, flows: {f: v1}}}\npins: []\n")
    Path("c.yaml").write_text(HEAD + "groups: {x: {select: {all: true}, flows: {f: v1}}}\n")
    assert load_manifests(order) == load_manifests(["c.yaml", "a.yaml", "b.yaml"])


def test_items_that_are_wrong_hide_nothing_that_is_wrong_elsewhere(tmp_path: Path) -> None:
    """A device declared twice is found although another item of the same file has no right shape."""
    (tmp_path / "a.yaml").write_text(HEAD + "devices:\n  a: {f: v1}\n  b: {f: [x]}\nunknown: 1\n")
    (tmp_path / "b.yaml").write_text(HEAD + "devices:\n  a: {f: v1}\npins: {}\n")
    found = problems_of(tmp_path)
    assert [problem.partition(": ")[2].partition(" (")[0] for problem in found] == [
        '"f": expected text, found a list',
        'unknown key "unknown"',
        f'device "a" is declared in two places, first at {tmp_path}/a.yaml:4:3',
        '"pins": expected a list',
    ]


def test_sources_are_every_file_with_its_sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text("apiVersion: reconciler/v1\n")
    (tmp_path / "a.yaml").write_text(HEAD + "extends: base.yaml\n")
    (tmp_path / "b.yaml").write_text(HEAD)
    [rules] = load_manifests([tmp_path])
    wanted = {
        name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a.yaml", "b.yaml", "base.yaml")
    }
    assert {Path(source.path).name: source.sha256 for source in rules.manifests} == wanted


versions = st.text(
    alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20
).filter(lambda text: text not in {"develop", "default"})


@given(st.dictionaries(versions, versions, min_size=1, max_size=5))
@settings(max_examples=100)
def test_any_name_and_version_comes_through(tmp_path_factory: pytest.TempPathFactory, flows: dict[str, str]) -> None:
    """Round trip through a YAML writer that knows nothing of our rules (it quotes what YAML 1.1 would mistake)."""
    path = tmp_path_factory.mktemp("any") / "a.yaml"
    manifest = {"apiVersion": "reconciler/v1", "application": APPLICATION, "devices": {"pump": flows}}
    path.write_text(yaml.safe_dump(manifest, allow_unicode=False), encoding="utf-8")
    [rules] = load_manifests([path])
    [device] = rules.devices
    found = {rule.flow.text: rule.version for rule in device.flows}
    assert found == {name: None if version == "absent" else version for name, version in flows.items()}
