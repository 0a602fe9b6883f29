"""A lock is read as it was written, whatever versions and flows are called."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifest.lock.reading import read_lock
from reconciler.manifest.lock.writing import lock_text
from reconciler.model.state import Kind
from reconciler.model.versions import Content
from tests.builders import hex_id
from tests.hostile import NAMES

ids = st.integers(0, 9).map(lambda number: hex_id(number, "f"))
names = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), st.sampled_from(NAMES))
contents = st.builds(
    Content,
    ids,
    names,
    ids,
    st.just("2026-01-02T03:04:05.678Z"),
    st.integers(0, 16**64 - 1).map("{:064x}".format),
)
sections = st.dictionaries(
    st.tuples(ids, st.sampled_from(Kind)), st.lists(contents, unique_by=lambda one: one.key, max_size=4), max_size=3
)


@given(sections, st.dictionaries(ids, names))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, held: dict[tuple[str, Kind], list[Content]], called: dict[str, str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "reconciler.lock"
    text = lock_text(held, called)
    path.write_text(text, encoding="utf-8")
    file = read_lock(str(path))
    assert file.problems == []
    assert {key: [one.content for one in found] for key, found in file.sections.items()} == {
        key: sorted(found) for key, found in held.items()
    }
    lines = text.splitlines()
    for locked in (one for found in file.sections.values() for one in found):
        assert locked.content.sha256 in lines[locked.place.line - 1]
    assert lock_text({key: reversed(found) for key, found in reversed(held.items())}, called) == text
    assert len(yaml.safe_load(text)["locked"]) == len(held)


def test_no_lock_is_no_problem(tmp_path: Path) -> None:
    file = read_lock(str(tmp_path / "reconciler.lock"))
    assert (file.data, file.sections, file.problems) == (None, {}, [])
    (tmp_path / "reconciler.lock").mkdir()
    (problem,) = read_lock(str(tmp_path / "reconciler.lock")).problems
    assert problem.hint == "check its permissions"


@pytest.mark.parametrize("text", ["", "[]\n", "a: b\n---\nc: d\n", "apiVersion: reconciler/v1\nlocked: []\n"])
def test_what_is_no_lock_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "reconciler.lock"
    path.write_text(text)
    problems = read_lock(str(path)).problems
    assert problems
    assert all(one.line and one.hint for one in problems)
