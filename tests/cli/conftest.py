"""What several tests of the command line start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repository import make_repository


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with two commits, at tags, and a changed work tree; the working directory."""
    monkeypatch.chdir(tmp_path)
    make_repository()
    return tmp_path
