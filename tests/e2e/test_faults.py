"""The fault matrix: whatever goes wrong, each command ends with the right code and a true result, and nothing that
is not managed moves. Once the fault is gone, an apply does the rest.
"""

from __future__ import annotations

import gc
import socket
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.simulator import faults
from reconciler.simulator.faults import When
from tests.support.cli import Ended, run_here
from tests.support.plant import AFTER, BEFORE, CHANGES, LISTS, Plant

COMMANDS = {
    "plan": ["plan", "plant.yaml"],
    "apply": ["apply", "plant.yaml", "--yes"],
    "wait": ["apply", "plant.yaml", "--yes", "--wait", "--timeout", "2m"],
    "status": ["status", "plant.yaml"],
}
RUNS = [*((command, "embedded") for command in COMMANDS), ("wait", "edge")]
READS, WRITES = When(method="GET"), When(method="POST")
LIST, RELEASE = When(path="/deployments$"), When(path="/deployments/release$")


@dataclass(frozen=True)
class Case:
    """A fault, the exit codes of plan, apply, apply --wait and status under it, and a word that errors must hold."""

    arm: Callable[[Plant], object]
    codes: tuple[int, int, int, int]
    says: str = ""


def armed(fault: faults.Fault) -> Callable[[Plant], object]:
    return lambda plant: plant.control.fault(fault)


def status(code: int, when: When, **more: Any) -> Callable[[Plant], object]:
    return armed(faults.Status(status=code, when=when, **more))


def once(when: When, times: int = 1) -> When:
    return when.model_copy(update={"times": times})


def refuse(plant: Plant) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        plant.point_at(f"http://127.0.0.1:{unused.getsockname()[1]}")


def lose_name(plant: Plant) -> None:
    def look_up(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    plant.patch(socket, "getaddrinfo", look_up)
    plant.point_at("https://api.losant.invalid")


def speak_tls(plant: Plant) -> None:
    plant.point_at(plant.server.url.replace("http://", "https://"))


def forget_cut_handshakes() -> None:
    """httpcore leaves a connection open if it is cancelled in its TLS handshake, which is when another has failed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def slow(fault: faults.Fault) -> Callable[[Plant], object]:
    def arm(plant: Plant) -> None:
        plant.hurry(read_s=0.1)
        plant.control.fault(fault)

    return arm


def wrong_application(plant: Plant) -> None:
    text = (plant.folder / "plant.yaml").read_text(encoding="utf-8")
    plant.manifest(text.replace("5f0c8a1b2d3e4f5061728394", "0" * 24).rpartition("kind:")[0])


def jump(plant: Plant) -> None:
    plant.jump_about()
    status(429, once(READS, 2), retry_after="Mon, 02 Mar 2026 09:00:20 GMT")(plant)
    status(503, once(WRITES, 2), retry_after="Mon, 02 Mar 2026 09:00:20 GMT")(plant)


FINE, NEVER, UNSURE = (0, 0, 0, 0), (1, 1, 1, 1), (0, 6, 6, 0)
CASES: dict[str, Case] = {
    "nothing": Case(lambda _: None, FINE),
    "refused connection": Case(refuse, NEVER, "connection refused"),
    "DNS failure": Case(lose_name, NEVER, "does not resolve"),
    "TLS error": Case(speak_tls, NEVER, "TLS"),
    "slow headers for ever": Case(slow(faults.SlowHeaders(seconds=3, when=READS)), NEVER, "timed out"),
    "slow headers once": Case(slow(faults.SlowHeaders(seconds=3, when=once(READS))), FINE),
    "slow headers of a write": Case(slow(faults.SlowHeaders(seconds=3, when=once(WRITES))), FINE),
    "slow body for ever": Case(slow(faults.SlowBody(seconds=3, when=READS)), NEVER, "timed out"),
    "slow body of a write": Case(slow(faults.SlowBody(seconds=3, when=once(WRITES))), FINE),
    "truncated body": Case(armed(faults.Garble(how="truncated", when=READS)), NEVER),
    "truncated body of a write": Case(armed(faults.Garble(how="truncated", when=once(WRITES))), FINE),
    "gzip garbage": Case(armed(faults.Garble(how="gzip", when=READS)), NEVER, "compressed body"),
    "gzip garbage of a write": Case(armed(faults.Garble(how="gzip", when=once(WRITES))), FINE),
    "HTML instead of JSON": Case(armed(faults.Garble(how="html", when=READS)), NEVER),
    "HTML instead of JSON for writes": Case(armed(faults.Garble(how="html", when=WRITES)), FINE),
    "a list instead of a page": Case(armed(faults.Garble(how="array", when=READS)), NEVER),
    "not UTF-8": Case(armed(faults.Garble(how="utf8", when=READS)), NEVER),
    "duplicate JSON keys": Case(armed(faults.Garble(how="duplicate_keys", when=READS)), NEVER),
    "HTML 502 for ever": Case(status(502, READS, body="html"), NEVER, "502"),
    "HTML 502 three times": Case(status(502, once(READS, 3), body="html"), FINE),
    "HTML 502 for writes": Case(status(502, WRITES, body="html"), UNSURE, "502"),
    "500 for ever": Case(status(500, READS), NEVER, "500"),
    "500 of one write": Case(status(500, once(WRITES)), FINE),
    "500 for writes": Case(status(500, WRITES), UNSURE, "500"),
    "503 with Retry-After": Case(status(503, once(READS, 2), retry_after="7"), FINE),
    "503 for writes": Case(status(503, WRITES, retry_after="7"), UNSURE, "503"),
    "429 for ever": Case(status(429, READS), NEVER, "429"),
    "429 without Retry-After": Case(status(429, once(READS, 3)), FINE),
    "429 with seconds": Case(status(429, once(READS, 3), retry_after="20"), FINE),
    "429 with a date": Case(status(429, once(READS, 3), retry_after="Mon, 02 Mar 2026 09:00:20 GMT"), FINE),
    "429 for three writes": Case(status(429, once(WRITES, 3), retry_after="5"), FINE),
    "429 for writes": Case(status(429, WRITES), UNSURE, "429"),
    "401": Case(status(401, READS), NEVER, "token"),
    "401 for writes": Case(status(401, WRITES), UNSURE, "token"),
    "403 on reading deployments": Case(status(403, LIST), NEVER, "Deployments.get"),
    "403 on release": Case(status(403, RELEASE), UNSURE, "Deployments.release"),
    "404 application": Case(wrong_application, NEVER),
    "404 for writes": Case(status(404, WRITES), UNSURE, "404"),
    "405 for writes": Case(status(405, WRITES), UNSURE, "405"),
    "405 for reads": Case(status(405, READS), NEVER, "405"),
    "413 for one write": Case(status(413, once(WRITES)), UNSURE, "413"),
    "400 for one write": Case(status(400, once(WRITES)), UNSURE, "400"),
    "reset of reads": Case(armed(faults.Reset(when=once(READS, 3))), FINE),
    "reset before the effect": Case(armed(faults.Reset(when=once(WRITES, 2))), FINE),
    "reset after the effect": Case(armed(faults.Reset(after_effect=True, when=once(WRITES, 2))), FINE),
    "reset of every write before the effect": Case(armed(faults.Reset(when=WRITES)), UNSURE),
    "reset of every write after the effect": Case(armed(faults.Reset(after_effect=True, when=WRITES)), FINE),
    "late effect": Case(armed(faults.Late(seconds=20, when=WRITES)), FINE),
    "effect too late": Case(armed(faults.Late(seconds=200, when=once(WRITES))), UNSURE),
    "partial release": Case(armed(faults.Partial(when=WRITES)), UNSURE),
    "accepted, not effective": Case(armed(faults.Lost(when=once(WRITES))), UNSURE),
    "reads fail after the writes": Case(status(500, When(path=LIST.path, since=2)), UNSURE, "500"),
    "reads are refused after the writes": Case(status(403, When(path=LIST.path, since=2)), UNSURE, "403"),
    "reads fail for a while after the writes": Case(
        status(500, When(path=LIST.path, since=2, times=12), retry_after="1"), FINE
    ),
    "redirect to another host": Case(armed(faults.Redirect(when=READS)), NEVER, "redirect"),
    "redirect of writes": Case(armed(faults.Redirect(when=WRITES)), UNSURE, "redirect"),
    "10 MB error body": Case(status(500, READS, body="huge"), NEVER, "500"),
    "10 MB error body of a write": Case(status(400, once(WRITES), body="huge"), UNSURE, "400"),
    "an error that repeats the token": Case(status(400, READS, body="echo"), NEVER, "400"),
    "an error of a write that repeats the token": Case(status(400, once(WRITES), body="echo"), UNSURE, "400"),
    "a page without its last item": Case(armed(faults.Missing(when=LIST)), NEVER),
    "a page with an item twice": Case(armed(faults.Duplicate(instead=True, when=LIST)), NEVER),
    "a total that is too high": Case(armed(faults.Total(delta=1, when=LIST)), NEVER),
    "a record without a device": Case(armed(faults.Damage(when=LIST)), NEVER),
    "devices that report all the time": Case(armed(faults.Reports(devices=4)), FINE),
    "clock jumps": Case(jump, FINE),
}


@pytest.mark.parametrize(("command", "plant"), RUNS, indirect=["plant"])
@pytest.mark.parametrize("name", CASES)
def test_fault(name: str, command: str, plant: Plant) -> None:
    case = CASES[name]
    address = plant.server.url
    case.arm(plant)
    ended = run_here(*COMMANDS[command], "--format", "json")
    if case.arm is speak_tls:
        forget_cut_handshakes()
    assert ended.code == case.codes[list(COMMANDS).index(command)], ended
    check_words(ended, case, plant)
    check_world(command, ended, plant)

    plant.recover(address)
    if plant.writes():
        again = run_here(*COMMANDS["wait"], "--format", "json")
        assert again.code == 0, again
        assert plant.released() == AFTER


def check_words(ended: Ended, case: Case, plant: Plant) -> None:
    """stdout is one JSON document that agrees with the exit code; the token is nowhere."""
    document = ended.document
    assert (document["error"] or {"code": 0})["code"] == ended.code
    if ended.code:
        assert case.says in ended.err
    assert "Traceback" not in ended.err
    assert plant.server.token not in ended.out + ended.err
    assert "bug in reconciler" not in ended.out + ended.err


def check_world(command: str, ended: Ended, plant: Plant) -> None:
    """Managed rows are where they were or where they should be, others have not moved, and the result says so."""
    rows = plant.released()
    for row in BEFORE.keys() | rows.keys() | CHANGES.keys():
        allowed = {BEFORE.get(row)} if command in ("plan", "status") else {BEFORE.get(row), CHANGES.get(row)}
        assert rows.get(row) in (allowed if row in CHANGES else {BEFORE.get(row)}), row
    if command in ("plan", "status") or ended.code == 1:
        assert plant.writes() == []
        assert rows == BEFORE
    if ended.code == 1:
        assert ended.document[LISTS[COMMANDS[command][0]]] == []
        return
    if command in ("apply", "wait"):
        check_result(ended.result, plant)


def check_result(result: Mapping[str, Any], plant: Plant) -> None:
    """What the result says of each call and row is so."""
    rows = {(row["device_id"], row["flow_id"]): row["released"] for row in plant.control.rows()}
    in_place = 0
    for call in result["calls"]:
        body = call["body"]
        moved = sum(rows.get((one, body["flowId"])) == body["version"] for one in body["deviceIds"])
        in_place += moved
        if call["state"] == "confirmed":
            assert moved == len(body["deviceIds"])
        if call["state"] in ("planned", "skipped"):
            assert moved == 0
        if call["state"] != "confirmed":
            assert call["error"]
    assert result["rows"]["confirmed"] <= in_place
    assert result["rows"]["total"] == len(CHANGES)
    assert len(result["unconfirmed"]) == len(CHANGES) - result["rows"]["confirmed"]
    assert result["collateral"] == result["moved_meanwhile"] == []
    assert result["exit_code"] == (0 if result["rows"]["confirmed"] == len(CHANGES) else 6)


@pytest.mark.parametrize(("command", "plant"), RUNS, indirect=["plant"])
@pytest.mark.parametrize("number", range(1, 16))
def test_a_token_that_stops_working_at_the_kth_request(number: int, command: str, plant: Plant) -> None:
    plant.control.fault(faults.Status(status=401, when=When(since=number)))
    ended = run_here(*COMMANDS[command], "--format", "json")
    check_words(ended, CASES["nothing"], plant)
    check_world(command, ended, plant)
    struck = [request for request in plant.control.requests() if request["status"] == 401]
    if not struck:
        assert ended.code == 0
    elif command in ("plan", "status") or not plant.writes():
        assert ended.code == 1
    elif any(call["state"] != "confirmed" for call in ended.result["calls"]):
        assert ended.code == 6
        assert ended.result["stopped_by"]
    else:
        assert ended.code == (5 if command == "wait" else 0)
    assert len(struck) <= 5  # those in flight together; nothing is asked again
    plant.recover(plant.server.url)
    if plant.writes():
        assert run_here(*COMMANDS["apply"]).code == 0
        assert plant.released() == AFTER


@pytest.mark.parametrize("per_page", [1, 3, 7])
@pytest.mark.parametrize(("command", "plant"), RUNS, indirect=["plant"])
def test_a_server_that_caps_its_pages(per_page: int, command: str, plant: Plant) -> None:
    plant.control.switch(per_page_cap=per_page)
    assert run_here(*COMMANDS[command], "--format", "json").code == 0


def test_a_disk_that_is_full(plant: Plant) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    ended = run_here(*COMMANDS["apply"], "--result", "/dev/full")
    assert ended.code == 6  # all is done, and the promised file is not there
    assert plant.released() == AFTER
    assert "--result /dev/full could not be written" in ended.err
    assert '"state":"confirmed"' in ended.err


def test_a_result_file_that_cannot_be_opened_stops_before_the_first_write(plant: Plant) -> None:
    ended = run_here(*COMMANDS["apply"], "--result", "missing/result.json", "--format", "json")
    assert ended.code == 1
    assert plant.writes() == []
    assert ended.document["error"]["code"] == 1
