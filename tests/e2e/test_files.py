"""How manifests are picked, where it matters: in a plan of a fleet."""

from __future__ import annotations

from pathlib import Path

from tests.support import processes
from tests.support.cli import RECONCILER, Ended, Here
from tests.support.fleet import Shop

MORE = "m/MORE.YAML looks like a manifest, but is not read"


def test_a_plan_warns_of_a_file_that_looks_like_a_manifest_and_strict_refuses_it(shop: Shop, here: Here) -> None:
    Path("m").mkdir()
    Path("shop.yaml").rename("m/shop.yaml")
    Path("m/MORE.YAML").write_text("groups: {}\n")
    Path("m/.#shop.yaml").symlink_to("me@host.1:2")
    planned = here("plan", "m", "--format", "json")
    assert planned.code == 0
    [plan] = planned.document["plans"]
    assert [warning["message"] for warning in plan["warnings"]] == [
        "m/MORE.YAML looks like a manifest, but is not read"
    ]
    refused = here("plan", "m", "--strict")
    assert refused.code == 3
    assert MORE in refused.err
    Path("m/MORE.YAML").unlink()
    assert here("plan", "m", "--strict").code == 0


def test_a_manifest_from_a_pipe_is_planned_as_the_file_is(shop: Shop) -> None:
    words = ["bash", "-c", '"$@" plan --format json <(cat shop.yaml)', "bash", *RECONCILER]
    done = processes.run(words, cwd=shop.folder, env=shop.env())
    piped = Ended(done.returncode, done.stdout, done.stderr)
    [plan] = shop.run("plan", "--format", "json", "shop.yaml").document["plans"]
    assert piped.code == 0, piped.err
    assert piped.document["plans"][0]["digest"] == plan["digest"]
    assert piped.document["plans"][0]["manifests"][0]["sha256"] == plan["manifests"][0]["sha256"]
