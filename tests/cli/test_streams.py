"""What leaves by stdout and stderr: whatever reads it, whatever it can hold, whatever the names are."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.simulator import serve
from tests.support import processes
from tests.support.cli import RECONCILER, Here
from tests.support.fleet import APPLICATION, FLEET, Shop

NAMES = (
    "::error file=x::boom",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07bell",
    "two\nlines",
    "carriage\rreturn",
    "##[command]rm ##vso[task.complete]",
    "a|b `c` <img src=x> @everyone [l](https://x.invalid) #1 **b**",
    "é ü 泵 🚰",
    "\u202egnp.exe",
)
FLOW, OTHER = "tele\x1b[2Jmetry|`<b>", "::notice::alarms"
ERROR = "\x1b[2J::error::out of memory\n::warning::`|<b>@me"
ODD_FLEET = {
    "take_up_s": 0.05,  # the log tells a failure from the release before it by the millisecond
    "applications": [
        {
            "id": APPLICATION,
            "name": "shop \x1b[1m|`",
            "flows": {FLOW: ["v1", "v2"], OTHER: ["v1"]},
            "devices": [
                {"name": name, "deployed": {FLOW: "v1", OTHER: "v1"}, "fails": {FLOW: {"v2": ERROR}}} for name in NAMES
            ],
        }
    ],
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(FLEET) as server:
        yield Shop(server, tmp_path)


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """A fleet whose every name is meant to do harm. Its devices fail, and say so in the same manner."""
    with serve(ODD_FLEET) as server:
        shop = Shop(server, tmp_path)
        flows = {row["flow"]: row["flow_id"] for row in shop.control.rows()}
        head = (
            f"apiVersion: reconciler/v1\napplication: {APPLICATION}\nlimits: {{removals: {{count: 99, percent: 99}}}}\n"
        )
        shop.write("shop.yaml", f"{head}groups: {{all: {{select: {{all: true}}, flows: {{{flows[FLOW]}: v2}}}}}}\n")
        shop.write(
            "gone.yaml", f"{head}groups: {{all: {{select: {{all: true}}, flows: {{{flows[OTHER]}: absent}}}}}}\n"
        )
        yield shop.here(monkeypatch)


def check_inert(text: str) -> None:
    """No control character, nothing that reorders text, no line that a CI system takes for a command."""
    assert not re.search(r"[^\n -~\xa1-\u1fff\u2100-\U0001ffff]", text)
    for line in text.splitlines():
        assert not line.lstrip().startswith("::")
        assert not re.search(r"##(\[|vso\[)", line)


def test_odd_names_are_inert_in_text(odd: Here) -> None:
    for argv in (
        ["plan", "shop.yaml"],
        ["-vv", "plan", "shop.yaml", "--target", f"device={NAMES[0]}", "--out", "plan.json"],
        ["show", "plan.json"],
        ["plan", "gone.yaml", "--strict"],
        ["plan", "shop.yaml", "--target", f"device={NAMES[1]}x"],
        ["apply", "shop.yaml", "--yes", "--wait", "--timeout", "1s", "--result", "result.json"],
        ["show", "result.json"],
        ["plan", "shop.yaml"],
        ["status", "shop.yaml"],
        ["status", "shop.yaml", "--device", "\x1b[1m"],
        ["nonsense\x1b[1m"],
        ["plan", "no\x1b[1m\n::error::where"],
        ["plan", "shop.yaml", "--out", "no\x1b[1m/where"],
    ):
        done = odd(*argv)
        assert done.out or done.err
        check_inert(done.out)
        check_inert(done.err)
    assert "é ü 泵 🚰" in odd("plan", "gone.yaml").out


def test_odd_names_are_inert_in_markdown(odd: Here) -> None:
    for argv in (
        ["plan", "gone.yaml", "--out", "plan.json"],
        ["show", "plan.json"],
        ["apply", "shop.yaml", "--yes", "--wait", "--timeout", "1s"],
        ["plan", "shop.yaml"],
        ["status", "shop.yaml"],
    ):
        text = odd(*argv, "--format", "markdown").out
        check_inert(text)
        spans = re.sub(r"`[^`\n]*`", "", re.sub(r"(?m)^    .*$", "", text))
        assert not re.search(r"@everyone|@me|<img|<b>|\*\*b|https:", spans)


def test_odd_names_are_data_in_json(odd: Here) -> None:
    (plan,) = odd("plan", "shop.yaml", "--format", "json").document["plans"]
    assert {change["device_name"] for change in plan["changes"]} == set(NAMES)
    assert {change["flow_name"] for change in plan["changes"]} == {FLOW}
    odd("apply", "shop.yaml", "--yes", "--wait", "--timeout", "10s")
    (status,) = odd("status", "shop.yaml", "--format", "json").document["status"]
    assert {laggard["error"] for laggard in status["laggards"]} == {ERROR}


# What stdout can hold, and who reads it


@contextmanager
def odd_shop(folder: Path) -> Iterator[Shop]:
    """A manifest for one of the odd devices."""
    with serve(ODD_FLEET) as server:
        shop = Shop(server, folder)
        flow_id = next(row["flow_id"] for row in shop.control.rows() if row["flow"] == FLOW)
        shop.write(
            "shop.yaml",
            f"apiVersion: reconciler/v1\napplication: {APPLICATION}\ndevices: {{é ü 泵 🚰: {{{flow_id}: v2}}}}\n",
        )
        yield shop


def test_ascii_only(tmp_path: Path) -> None:
    with odd_shop(tmp_path) as shop:
        for env in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
            text = shop.run("plan", "shop.yaml", env=env)
            assert text.code == 0
            assert r"\xe9 \xfc \u6cf5 \U0001f6b0" in text.out
            data = shop.run("plan", "shop.yaml", "--format", "json", env=env)
            assert data.out.isascii()
            assert data.document["plans"][0]["changes"][0]["device_name"] == "é ü 泵 🚰"
            assert shop.run("plan", "shop.yaml", "--format", "markdown", env=env).code == 0


def test_documents_are_utf_8_in_a_file_whatever_the_code_page(tmp_path: Path) -> None:
    with odd_shop(tmp_path) as shop:
        for encoding in ("cp1252", "cp850", "ascii", "utf-16"):
            env = {"PYTHONIOENCODING": encoding}
            for *argv, wanted in (
                ["import", "--application", APPLICATION, "--group-by", "none", "# é ü 泵 🚰"],
                ["plan", "shop.yaml", "--format", "markdown", "é ü 泵 🚰"],
            ):
                done = shop.run(*argv, env=env)
                assert done.code == 0
                assert wanted in done.out, encoding


def unread(shop: Shop, *argv: str) -> tuple[int, str]:
    """Exit code and stderr of a command whose stdout nobody reads."""
    process = shop.start(*argv)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = processes.end(process)
    return process.returncode, err


def test_a_reader_that_goes_away(shop: Shop) -> None:
    assert unread(shop, "plan", "shop.yaml") == (1, "")

    # An apply whose plan nobody sees is not begun ...
    told = "Error: stdout was closed by its reader, so nothing was sent\n"
    assert unread(shop, "apply", "shop.yaml", "--yes", "--result", "result.json") == (1, told)
    assert shop.read_json("result.json")["error"]["code"] == 1
    assert shop.writes() == []

    # ... but one that is begun is ended.
    assert unread(shop, "apply", "shop.yaml", "--yes", "--format", "json", "--result", "result.json") == (0, "")
    assert shop.read_json("result.json")["error"] is None
    assert shop.writes()


def test_an_export_is_received_whoever_reads_the_id_of_its_job(shop: Shop) -> None:
    words = ("export", "--application", APPLICATION, "--listen", "--out", "shop.zip")
    assert unread(shop, *words)[0] == 0
    assert (shop.folder / "shop.zip").stat().st_size


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
def test_a_full_disk(shop: Shop) -> None:
    def run(*argv: str) -> tuple[int, str]:
        with Path("/dev/full").open("w") as full:
            done = processes.run(
                [*RECONCILER, *argv],
                cwd=shop.folder, env=shop.env(), stdout=full, stderr=subprocess.PIPE,
            )  # fmt: skip
        return done.returncode, done.stderr

    told = "Error: stdout cannot be written: No space left on device\n"
    assert run("plan", "shop.yaml") == (1, told)
    code, said = run("apply", "shop.yaml", "--yes", "--format", "json")
    assert (code, said.startswith(told)) == (6, True)
    (result,) = json.loads(said.removeprefix(told))["results"]
    assert {call["state"] for call in result["calls"]} == {"confirmed"}
    assert shop.writes()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(closed: str, shop: Shop) -> None:
    by = f'exec "$@" {closed}'
    process = shop.start("plan", "shop.yaml", "--detailed-exitcode", "--out", "plan.json", by=by)
    processes.end(process)
    assert process.returncode == 2
    assert shop.read_json("plan.json")["plans"]


def test_no_colours_where_there_is_no_terminal(shop: Shop) -> None:
    for env in ({}, {"TERM": "xterm-256color"}):
        done = shop.run("-v", "apply", "shop.yaml", "--dry-run", env=env)
        assert done.code == 0
        assert "\x1b" not in done.out + done.err
