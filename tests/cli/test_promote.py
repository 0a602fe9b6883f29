"""`reconciler promote`: versions that proved themselves in one environment, said in the manifest of another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.manifest.load import load_manifests
from reconciler.simulator import Server, serve
from reconciler.simulator.api import flows
from tests.support.cli import Ended, run_here

STAGING, PRODUCTION = "575ec8687ae143cd83dc4a97", "575ec8687ae143cd83dc4a98"
READS = ["embeddedDeployments.get", "devices.get", "flows.get", "flowVersions.get", "flowVersion.get"]


def application(id_: str, name: str, devices: list[dict[str, Any]], **flows: list[str]) -> dict[str, Any]:
    scoped = [{"text": f"{name}-reads", "scopes": READS}, {"text": f"{name}-blind", "scopes": READS[:2]}]
    scoped += [{"text": f"{name}-names", "scopes": READS[:4]}]
    return {"id": id_, "name": name, "flows": flows, "devices": devices, "tokens": scoped}


def pump(name: str, telemetry: str | dict[str, str] = "v2", alarms: str = "a2", **more: Any) -> dict[str, Any]:
    return {"name": name, "tags": {"site": name[:5]}, "deployed": {"telemetry": telemetry, "alarms": alarms}, **more}


FLEET = {
    "take_up_s": "never",
    "applications": [
        application(
            STAGING,
            "staging",
            [pump("leeds-1"), pump("leeds-2"), pump("york--1", "v3", "a1")],
            telemetry=["v1", "v2", "v3"],
            alarms=["a1", "a2"],
        ),
        application(
            PRODUCTION, "production", [pump("leeds-9", "v1", "a1")], telemetry=["v1", "v2", "v3"], alarms=["a1", "a2"]
        ),
    ],
}
STAGING_FILE = f"""\
apiVersion: reconciler/v1
application: {STAGING}
groups:
  leeds: {{select: {{tags: {{site: leeds}}}}, flows: {{telemetry: v2, alarms: a2}}}}
  york: {{select: {{tags: {{site: york-}}}}, flows: {{telemetry: v3, alarms: a1}}}}
"""
PRODUCTION_FILE = f"""\
apiVersion: reconciler/v1
application: {PRODUCTION}  # be careful
groups:
  leeds:
    select: {{tags: {{site: leeds}}}}
    flows:
      telemetry: 'v1'   # since March
      alarms: a1
  york: {{select: {{tags: {{site: york-}}}}, flows: {{"telemetry": "v1", alarms: a1}}}}
"""
CARRIED = PRODUCTION_FILE.replace("'v1' ", "'v2' ").replace("alarms: a1\n", "alarms: a2\n", 1).replace('"v1"', '"v3"')


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.chdir(tmp_path)
    with serve(FLEET) as server:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv(f"LOSANT_API_TOKEN_{STAGING}", "staging-reads")
        monkeypatch.setenv(f"LOSANT_API_TOKEN_{PRODUCTION}", "production-reads")
        Path("staging.yaml").write_text(STAGING_FILE)
        Path("production.yaml").write_text(PRODUCTION_FILE)
        yield server


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No API, and no token."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOSANT_API_URL", "http://127.0.0.1:9")
    for name in ("LOSANT_API_TOKEN", f"LOSANT_API_TOKEN_{STAGING}", f"LOSANT_API_TOKEN_{PRODUCTION}"):
        monkeypatch.delenv(name, raising=False)
    Path("staging.yaml").write_text(STAGING_FILE)
    Path("production.yaml").write_text(PRODUCTION_FILE)


def promote(*argv: str, source: str = "staging.yaml", target: str = "production.yaml") -> Ended:
    return run_here("promote", "--from", source, "--to", target, *argv)


def production() -> str:
    return Path("production.yaml").read_text()


def refused(*argv: str, code: int = 3, **files: str) -> Ended:
    before = {path: path.read_text() for path in Path().rglob("*.yaml")}
    ended = promote(*argv, **files)
    assert (ended.code, ended.out) == (code, ""), ended
    assert {path: path.read_text() for path in Path().rglob("*.yaml")} == before
    return ended


def test_what_has_converged_is_carried_with_reading_tokens(server: Server) -> None:
    check = promote("--check")
    assert (check.code, production()) == (2, PRODUCTION_FILE)
    ended = promote()
    assert (ended.code, ended.err) == (0, "Wrote production.yaml.\n")
    assert production() == CARRIED
    assert ended.out == check.out
    assert [line for line in ended.out.splitlines() if line[0] in "-+"][2:] == [
        *["-      telemetry: 'v1'   # since March", "-      alarms: a1"],
        '-  york: {select: {tags: {site: york-}}, flows: {"telemetry": "v1", alarms: a1}}',
        *["+      telemetry: 'v2'   # since March", "+      alarms: a2"],
        '+  york: {select: {tags: {site: york-}}, flows: {"telemetry": "v3", alarms: a1}}',
    ]
    assert {one["method"] for one in server.control.requests()} == {"GET"}


def test_nothing_to_carry_asks_nobody(server: Server) -> None:
    Path("production.yaml").write_text(CARRIED)
    for argv in ([], ["--check"], ["--strict"]):
        ended = promote(*argv)
        assert (ended.code, ended.out, ended.err) == (0, "", "Nothing to change.\n")
    assert server.control.requests() == []


def flow_on(server: Server, device: str, flow: str) -> str:
    """The id of a flow of the device's application: both applications have flows of these names."""
    (found,) = {row["flow_id"] for row in server.control.rows() if (row["device"], row["flow"]) == (device, flow)}
    assert isinstance(found, str)
    return found


def drift(server: Server) -> None:
    server.control.set_released("leeds-1", flow_on(server, "leeds-1", "telemetry"), "v1")


def pending(server: Server) -> None:
    server.control.set_reported("leeds-1", flow_on(server, "leeds-1", "telemetry"), "v1")


def failed(server: Server) -> None:
    flow = flow_on(server, "leeds-1", "telemetry")
    server.control.set_reported("leeds-1", flow, "v1")
    server.control.report_unknown_bundle("leeds-1")


def failed_and_gone(server: Server) -> None:
    failed(server)
    server.control.disconnect("leeds-1")


def drift_and_gone(server: Server) -> None:
    drift(server)
    server.control.disconnect("leeds-1")


@pytest.mark.parametrize(
    ("harm", "verdict"),
    [
        (drift, "drift"),
        (pending, "pending"),
        (failed, "failed"),
        (failed_and_gone, "failed"),
        (drift_and_gone, "drift"),
    ],
)
@pytest.mark.parametrize("argv", [[], ["--check"], ["--flow", "alarms"]])
def test_a_group_that_has_not_converged_is_not_carried(
    server: Server, harm: Any, verdict: str, argv: list[str]
) -> None:
    """Whichever of its flows lags: a device runs all of its flows as one bundle."""
    harm(server)
    ended = refused(*argv)
    assert "staging.yaml:4:" in ended.err
    assert 'refused (not converged): group "leeds" has ' in ended.err
    assert "1 row that lag (" not in ended.err
    assert f" {verdict}" in ended.err
    assert "leeds-1 telemetry" in ended.err
    assert "--unchecked" in ended.err


def test_a_group_that_is_not_carried_is_not_asked(server: Server) -> None:
    drift(server)
    ended = promote("--group", "york")
    assert ended.code == 0
    assert production() == PRODUCTION_FILE.replace('"v1"', '"v3"')


def test_devices_that_are_not_connected_are_named_and_do_not_count(server: Server) -> None:
    pending(server)
    server.control.disconnect("leeds-1")
    ended = promote()
    assert ended.code == 0
    assert 'Note: not counted in group "leeds", not connected: leeds-1 telemetry.' in ended.err
    assert production() == CARRIED


@pytest.mark.parametrize(("soak", "hours"), [("24h", 25), ("1d", 25), ("0s", 0)])
def test_what_was_seen_running_for_the_soak_is_carried(server: Server, soak: str, hours: int) -> None:
    server.control.clock(speed=0)
    server.control.advance(hours=hours)
    assert promote("--check", "--soak", soak).code == 2


def test_what_was_not_seen_running_for_the_soak_is_refused(server: Server) -> None:
    server.control.clock(at=datetime(2300, 1, 1, tzinfo=UTC), speed=0)
    (flow_id,) = {
        row["flow_id"] for row in server.control.rows() if (row["device"], row["flow"]) == ("leeds-2", "telemetry")
    }
    for version in ("v1", "v2"):  # it came back just now
        server.control.set_reported("leeds-2", flow_id, version)
    server.control.disconnect("leeds-1")
    server.control.advance(hours=23)
    ended = refused("--soak", "24h", "--group", "leeds")
    assert 'refused (not soaked): 1 device of group "leeds" has not run it for so long yet: leeds-2' in ended.err
    assert "at the earliest 2300-01-02T00:00:00Z" in ended.err
    server.control.advance(hours=1)
    assert promote("--check", "--soak", "24h", "--group", "leeds").code == 2


def test_how_long_it_ran_is_not_unchecked(offline: None) -> None:
    assert "--unchecked and --soak cannot be combined" in refused("--unchecked", "--soak", "1h", code=1).err


def test_one_device_must_have_run_it(server: Server) -> None:
    for device in ("leeds-1", "leeds-2"):
        server.control.set_reported(device, flow_on(server, device, "telemetry"), "v1")
        server.control.disconnect(device)
    ended = refused()
    assert "staging.yaml:4:50: refused (not converged): no device of the group runs telemetry v2 yet" in ended.err
    assert "alarms a2 yet" not in ended.err
    Path("staging.yaml").write_text(STAGING_FILE.replace("site: york-", "site: nobody"))
    assert "runs telemetry v3 yet" in refused("--group", "york").err


@pytest.mark.parametrize("argv", [[], ["--strict"]])
def test_a_version_that_does_not_exist_there_is_refused(server: Server, argv: list[str]) -> None:
    server.control.delete_version(flow_on(server, "leeds-9", "telemetry"), "v2")
    ended = refused(*argv)
    message = f"flow telemetry of application {PRODUCTION} has no version v2 (publish it there first)"
    assert f"production.yaml:7:7: refused (no such version): {message}" in ended.err
    Path("production.yaml").write_text(PRODUCTION_FILE.replace("groups:", "flows: {telemetry: telemetri}\ngroups:"))
    ended = refused("--flow", "telemetry")
    assert f"application {PRODUCTION} has no flow named telemetri (nearest: telemetry)" in ended.err


def test_what_a_token_may_not_read_is_not_verified(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"LOSANT_API_TOKEN_{PRODUCTION}", "production-blind")
    ended = refused("--strict", "--flow", "telemetry")
    assert f"not verified: whether application {PRODUCTION} has flow telemetry v2 (the token needs" in ended.err
    assert "refused (strict): 2 warnings above" in ended.err
    monkeypatch.setenv(f"LOSANT_API_TOKEN_{PRODUCTION}", "production-names")
    ended = promote("--flow", "telemetry", "--group", "leeds")
    assert ended.code == 0
    assert "Warning: production.yaml:7: not verified: whether flow telemetry v2 is the same in both" in ended.err
    monkeypatch.setenv(f"LOSANT_API_TOKEN_{PRODUCTION}", "production-reads")
    monkeypatch.setenv(f"LOSANT_API_TOKEN_{STAGING}", "nonsense")
    refused(code=1)


@pytest.mark.parametrize("part", ["triggers", "nodes", "globals"])
def test_other_content_under_the_same_name_is_told(server: Server, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    complete = flows.VERSIONS.complete

    def with_definition(world: Any, params: Any, versions: list[dict[str, Any]]) -> None:
        complete(world, params, versions)
        for version in versions:
            version[part] = [{"id": "x", "of": version["applicationId"] if version["version"] == "v2" else "all"}]

    monkeypatch.setattr(flows, "VERSIONS", replace(flows.VERSIONS, complete=with_definition))
    ended = refused("--strict")
    assert "Warning: production.yaml:7: flow telemetry v2 is not the same in both applications" in ended.err
    assert "refused (strict): 1 warning above" in ended.err
    ended = promote()
    assert ended.code == 0
    assert ended.err.count("is not the same in both applications (definitions hold ids that may differ") == 1
    assert production() == CARRIED


@pytest.mark.usefixtures("offline")
def test_unchecked_needs_no_token() -> None:
    ended = promote("--unchecked")
    assert (ended.code, production()) == (0, CARRIED)
    Path("production.yaml").write_text(PRODUCTION_FILE)
    assert "no API token" in refused(code=1).err
    assert "--unchecked and --strict cannot be combined" in refused("--unchecked", "--strict", code=1).err


BASE = """apiVersion: reconciler/v1
groups:
  leeds: {select: {tags: {site: leeds}}, flows: {telemetry: v1, alarms: a1}}
"""


@pytest.mark.usefixtures("offline")
def test_a_base_is_never_edited() -> None:
    Path("base.yaml").write_text(BASE)
    head = f"apiVersion: reconciler/v1\napplication: {PRODUCTION}\nextends: base.yaml\n"
    Path("production.yaml").write_text(head)
    ended = promote("--unchecked")
    assert ended.code == 0
    assert Path("base.yaml").read_text() == BASE
    assert production() == f"{head}groups:\n  leeds:\n    flows: {{telemetry: v2, alarms: a2}}\n"
    assert 'Note: production.yaml overrides group "leeds" of base.yaml:3, a base, which is left as it is.' in ended.err
    (rules,) = load_manifests(["production.yaml"])
    assert {rule.flow.text: rule.version for rule in rules.groups[0].flows} == {"telemetry": "v2", "alarms": "a2"}


@pytest.mark.usefixtures("offline")
def test_both_on_one_base_and_the_source_overrides_it() -> None:
    Path("base.yaml").write_text(BASE)
    for path, id_ in (("staging.yaml", STAGING), ("production.yaml", PRODUCTION)):
        Path(path).write_text(f"apiVersion: reconciler/v1\napplication: {id_}\nextends: base.yaml\n")
    assert promote("--unchecked").err == "Nothing to change.\n"
    with Path("staging.yaml").open("a") as file:
        file.write("groups: {leeds: {flows: {telemetry: v2}}}\n")
    before = load_manifests(["staging.yaml"])
    assert promote("--unchecked").code == 0
    assert production().endswith("extends: base.yaml\ngroups:\n  leeds:\n    flows: {telemetry: v2}\n")
    assert load_manifests(["staging.yaml"]) == before


@pytest.mark.usefixtures("offline")
def test_a_flow_has_one_name_and_two_ids() -> None:
    own = "flows: {telemetry: 575ed18f7ae143cd83dc4aa%s}\ngroups:"
    Path("staging.yaml").write_text(
        STAGING_FILE.replace("groups:", own % 6).replace("telemetry: v2", "575ed18f7ae143cd83dc4aa6: v2")
    )
    Path("production.yaml").write_text(PRODUCTION_FILE.replace("groups:", own % 7))
    assert promote("--unchecked", "--group", "leeds", "--flow", "telemetry").code == 0
    assert production() == PRODUCTION_FILE.replace("groups:", own % 7).replace("'v1' ", "'v2' ")
    Path("staging.yaml").write_text(STAGING_FILE.replace("telemetry: v2", "575ed18f7ae143cd83dc4aa6: v2"))
    ended = promote("--unchecked", "--group", "leeds")
    assert "since an id is of one application: give it the same alias in both" in ended.err


@pytest.mark.usefixtures("offline")
def test_what_is_not_carried_is_said() -> None:
    more = "  hull: {select: {all: true}, flows: {telemetry: v3}}\n"
    text = STAGING_FILE.replace("alarms: a2", "alarms: a2, debug: v1").replace("alarms: a1", "alarms: absent")
    Path("staging.yaml").write_text(text + more)
    ended = promote("--unchecked")
    assert ended.code == 0
    assert 'Note: not carried: group "hull" is not in production.yaml.' in ended.err
    assert 'Note: not carried: flow "debug" is not in group "leeds" of production.yaml.' in ended.err
    assert (
        'Note: not carried: flow "alarms" of group "york" is absent at staging.yaml:5, a1 at production.yaml:9'
        in ended.err
    )
    assert production() == CARRIED


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--flow", "telemetri"], 'no group of staging.yaml declares flow "telemetri" (nearest: telemetry)'),
        (["--group", "led"], 'production.yaml has no group "led" (nearest: leeds)'),
        (["--group", "led"], 'staging.yaml has no group "led" (nearest: leeds)'),
        (["--kind", "edge"], "no manifest here is for that application and kind"),
    ],
)
def test_what_nobody_declares_is_told(argv: list[str], told: str) -> None:
    assert told in refused("--unchecked", *argv, code=1).err


@pytest.mark.usefixtures("offline")
def test_kinds_and_applications_are_told_apart() -> None:
    Path("edge.yaml").write_text(f"{PRODUCTION_FILE}kind: edge\n")
    ended = refused("--unchecked", target="edge.yaml", code=1)
    assert "edge.yaml:1:1: --from is for embedded deployments, --to for edge (promote between" in ended.err
    ended = refused("--unchecked", target="staging.yaml", code=1)
    assert f"--from and --to are both for application {STAGING}" in ended.err
    ended = refused("--unchecked", target=".", code=1)
    assert "--to . is for several: " in ended.err
    assert promote("--unchecked", "--kind", "edge", source="edge.yaml", target="edge.yaml").code == 1
    Path("other.yaml").write_text(PRODUCTION_FILE.replace("leeds:", "hull:").replace("york:", "bath:"))
    ended = refused("--unchecked", target="other.yaml", code=1)
    assert "staging.yaml and other.yaml have no flow of a group in common" in ended.err
    assert "standard input cannot be edited" in refused("--unchecked", target="-", code=1).err


@pytest.mark.usefixtures("offline")
def test_a_read_only_target_is_not_replaced() -> None:
    Path("production.yaml").chmod(0o444)
    assert "production.yaml is read-only" in refused("--unchecked", code=1).err
    assert promote("--unchecked", "--check").code == 2


def test_a_target_that_changes_while_the_api_is_asked_keeps_its_change(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.operations import promote as asking

    question = asking.question

    async def slow(*args: Any, **options: Any) -> Any:
        Path("production.yaml").write_text(PRODUCTION_FILE + "# by somebody else\n")
        return await question(*args, **options)

    monkeypatch.setattr(asking, "question", slow)
    ended = promote()
    assert ended.code == 1
    assert "production.yaml changed while it was edited; nothing was written" in ended.err
    assert production() == PRODUCTION_FILE + "# by somebody else\n"
