"""The tables can be pointed at a real account; here a simulator stands in for one, which the tables know nothing of."""

from __future__ import annotations

import os
import re
import sys

import pytest

from reconciler.simulator import Server, serve
from tests.conformance.account import LIVE, Live
from tests.conformance.rows import HERE, rows
from tests.support import processes

ROOT = HERE.parents[1]
pytestmark = pytest.mark.skipif(LIVE is not None, reason="this is the real account already")


def run_live(server: Server, *options: str, **environ: str) -> tuple[int, int]:
    """How many rows passed and were skipped; none failed."""
    account = {
        "RECONCILER_LIVE_TESTS": "1",
        "LOSANT_API_URL": server.url,
        "LOSANT_API_TOKEN": server.token,
        "RECONCILER_LIVE_APPLICATION": server.application_id,
        **environ,
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "test_conformance.py")]
    command += ["-k", "test_row", *options]
    done = processes.run(command, cwd=ROOT, env=os.environ | account)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|skipped|failed|error)", done.stdout)}
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return counts["passed"], counts.get("skipped", 0)


def test_reading_only() -> None:
    with serve(HERE / "fleet.yaml") as server:
        passed, skipped = run_live(server)
        methods = {request["method"] for request in server.control.requests()}

    assert methods == {"GET"}
    assert passed == sum(row.live == "read" for row in rows())
    assert skipped == sum(row.live != "read" for row in rows())


@pytest.mark.parametrize("status", ["201", "202"])
def test_writing_too(status: str) -> None:
    with serve(HERE / "fleet.yaml") as server:
        server.control.switch(write_status=status)
        passed, _ = run_live(server, "-k", "edge", RECONCILER_LIVE_WRITES="1")
        methods = {request["method"] for request in server.control.requests()}

    assert methods == {"GET", "POST"}
    assert passed == sum(row.live is not None for row in rows() if "edge" in row.id.lower())


def test_what_turns_it_on() -> None:
    account = {"LOSANT_API_TOKEN": "t", "RECONCILER_LIVE_APPLICATION": "0" * 24}

    assert Live.of({"RECONCILER_LIVE_TESTS": "yes", **account}) is None
    assert Live.of({"RECONCILER_LIVE_TESTS": "1", **account}) == Live(
        "https://api.losant.com", "t", "0" * 24, may_write=False
    )
