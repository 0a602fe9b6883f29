"""Who gets colours: what the run was told, then the environment, then what stdout is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from reconciler.simulator import serve
from tests.support import processes
from tests.support.cli import RECONCILER, run_here
from tests.support.fleet import FLEET, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(FLEET) as server:
        yield Shop(server, tmp_path)


@pytest.mark.parametrize(
    ("options", "env", "is_coloured"),
    [
        ([], {}, False),
        (["--color", "auto"], {}, False),
        (["--color", "always"], {}, True),
        (["--color=always"], {"NO_COLOR": "1", "TERM": "dumb"}, True),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": ""}, False),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (["--color", "auto"], {"FORCE_COLOR": "1"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        (["--no-color"], {"FORCE_COLOR": "1"}, False),
        (["--no-color", "--color", "always"], {}, True),
        (["--color", "always", "--no-color"], {}, False),
    ],
)
def test_who_decides(
    options: list[str], env: dict[str, str], *, is_coloured: bool, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shop.here(monkeypatch)
    plain = run("plan", "shop.yaml").out
    assert "\x1b" not in plain
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    for argv in (["plan", "shop.yaml", *options], [*options, "plan", "shop.yaml"]):
        ended = run(*argv)
        assert ("\x1b" in ended.out, click.unstyle(ended.out)) == (is_coloured, plain)
        assert "\x1b" not in ended.err


def test_what_is_said_after_the_command_counts(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in shop.here(monkeypatch)("--color", "always", "plan", "shop.yaml", "--color", "never").out


@pytest.mark.parametrize("fmt", ["json", "markdown"])
def test_documents_have_no_colours(fmt: str, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    for command in ("plan", "status"):
        ended = shop.here(monkeypatch)("--color", "always", command, "shop.yaml", "--format", fmt)
        assert ended.code == 0
        assert "\x1b" not in ended.out


def test_files_have_no_colours(shop: Shop) -> None:
    ended = shop.run("plan", "shop.yaml", "--out", "plan.json", "--color", "always")
    assert "\x1b" in ended.out
    assert "\x1b" not in (shop.folder / "plan.json").read_text()
    assert shop.run("apply", "shop.yaml", "--yes", "--result", "result.json", "--color", "always").code == 0
    assert "\x1b" not in (shop.folder / "result.json").read_text()
    with (shop.folder / "plan.txt").open("w") as file:
        argv = [*RECONCILER, "plan", "shop.yaml"]
        started = processes.start(
            argv, cwd=shop.folder, env=shop.env(FORCE_COLOR="1"), stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
        assert started.wait(60) == 0
    text = (shop.folder / "plan.txt").read_text()
    assert "No changes." in text
    assert "\x1b" not in text


def test_help_has_the_option_and_hides_its_alias() -> None:
    shown = run_here("--help").out
    assert "--color [auto|always|never]" in shown
    assert "--no-color" not in shown


def test_another_value_is_refused() -> None:
    ended = run_here("--color", "sometimes", "plan")
    assert ended.code == 1
    assert "'sometimes' is not one of 'auto', 'always', 'never'" in ended.err
