"""The same world gives the same bytes in every process, whatever the seed of its hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support import processes

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib, json
from reconciler.documents.plan import plan_document
from tests.support.cases import load
texts = []
for case in load():
    plan = case.plan()
    texts.append(json.dumps(plan_document([plan], "plan")) + "".join(call.reason for call in plan.calls))
print(len(texts), hashlib.sha256("".join(texts).encode()).hexdigest())
"""


def test_hash_seeds_do_not_matter() -> None:
    runs = [
        processes.start(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        for seed in ("0", "1", "4242")
    ]
    outputs = {processes.end(run)[0] for run in runs}
    assert {run.returncode for run in runs} == {0}
    assert len(outputs) == 1
    assert int(outputs.pop().split()[0]) >= 40
