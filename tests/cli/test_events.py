"""`--events` of plan and apply: what is told while they run, wherever it goes, whoever reads it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema_rs import Draft202012Validator

from reconciler.simulator import faults, serve
from reconciler.simulator.faults import When
from tests.support import events, processes
from tests.support.cli import Here
from tests.support.fleet import FLEET, HEAD, MANIFEST, Shop
from tests.support.time import skip_pauses
from tests.support.waiting import until

APPLY = ("apply", "shop.yaml", "--yes")
FAILS = FLEET.replace("deployed: {telemetry: v1}}", "deployed: {telemetry: v1}, fails: {telemetry: {v2: no memory}}}")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(FAILS) as server:
        yield Shop(server, tmp_path)


@pytest.fixture
def here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Here:
    skip_pauses(monkeypatch)
    return shop.here(monkeypatch)


def text_of(shop: Shop, name: str = "events.jsonl") -> str:
    return (shop.folder / name).read_text(encoding="ascii")


def types(found: list[events.Event]) -> list[str]:
    """The types in order, neighbours of one type told once."""
    return [one["type"] for at, one in enumerate(found) if at == 0 or found[at - 1]["type"] != one["type"]]


# What is told.


def test_a_plan_tells_what_it_reads_and_plans(shop: Shop, here: Here) -> None:
    ended = here("plan", "shop.yaml", "--detailed-exitcode", "--format", "json", "--events", "events.jsonl")
    found = events.read(text_of(shop))
    (plan,) = ended.document["plans"]
    assert types(found) == ["version", "read", "plan", "summary"]
    assert found[0]["command"] == "plan"
    assert found[0]["tool"] == plan["tool"]
    (read,) = events.of(found, "read")
    assert (read["application"], read["devices"], read["flow_id"]) == (plan["application"], 6, None)
    (told,) = events.of(found, "plan")
    assert {key: told[key] for key in ("summary", "digest", "kind", "partial", "refused")} == {
        key: plan[key] for key in ("summary", "digest", "kind", "partial", "refused")
    }
    assert found[-1]["exit_code"] == ended.code == 2
    (total,) = found[-1]["plans"]
    assert (total["summary"], total["digest"]) == (plan["summary"], plan["digest"])
    assert total["review_digest"] == ended.document["review_digest"]
    assert (found[-1]["problems"], found[-1]["results"]) == ([], [])


def test_an_apply_folds_to_its_result(shop: Shop, here: Here) -> None:
    ended = here(*APPLY, "--format", "json", "--events", "events.jsonl", "--result", "result.json")
    assert ended.code == 0
    found = events.read(text_of(shop))
    events.check_fold(found, ended.document)
    assert shop.read_json("result.json") == ended.document
    states = [one["state"] for one in events.of(found, "call") if one["id"] == 0]
    assert states == ["planned", "sent", "accepted", "confirmed"]
    confirmed = [one["confirmed"] for one in events.of(found, "rows")]
    assert confirmed == sorted(confirmed)
    assert confirmed[-1] == 10


def test_failed_devices_are_told_while_they_are_waited_for(shop: Shop, here: Here) -> None:
    shop.write("shop.yaml", f"{HEAD}groups: {{all: {{select: {{all: true}}, flows: {{telemetry: v2}}}}}}\n")
    ended = here(*APPLY, "--wait", "--format", "json", "--events", "events.jsonl")
    assert ended.code == 5
    found = events.read(text_of(shop))
    events.check_fold(found, ended.document)
    failed = events.of(found, "verdict")
    assert {(one["device_name"], one["verdict"], one["error"]) for one in failed} == {
        ("york-1", "failed", "no memory"),
        ("york-2", "failed", "no memory"),
    }
    assert events.of(found, "rows")[-1]["verdicts"] == ended.result["wait"]["rows"]
    assert "not every device runs what it should" in ended.document["error"]["problems"][0]["message"]


def test_the_warnings_of_a_plan_are_told(shop: Shop, here: Here) -> None:
    odd = "odd: {select: {all: true, percent: 0.0001}, flows: {alarms: v2}}"
    shop.write("shop.yaml", MANIFEST.replace("leeds:", f"{odd}\n  leeds:"))
    ended = here("plan", "shop.yaml", "--format", "json", "--events", "events.jsonl")
    (plan,) = ended.document["plans"]
    assert plan["warnings"]
    told = [
        {key: one[key] for key in ("path", "line", "column", "message", "hint")}
        for one in events.of(events.read(text_of(shop)), "warning")
    ]
    assert told == [{key: one.get(key) for key in told[0]} for one in plan["warnings"]]


def test_a_dry_run_tells_the_calls_that_it_does_not_send(shop: Shop, here: Here) -> None:
    ended = here("apply", "shop.yaml", "--dry-run", "--format", "json", "--events", "events.jsonl")
    found = events.read(text_of(shop))
    events.check_fold(found, ended.document)
    assert {one["state"] for one in events.of(found, "call")} == {"planned"}
    assert shop.writes() == []


def test_the_schema_says_what_an_event_is(shop: Shop, here: Here) -> None:
    validator = Draft202012Validator(json.loads(here("schema", "--output").out))
    here(*APPLY, "--wait", "--events", "events.jsonl")
    for event in events.read(text_of(shop)):
        assert validator.is_valid(event)
        assert not validator.is_valid(event | {"surprise": 1})
        assert not validator.is_valid(event | {"type": "surprise"})
        for key in event:
            assert not validator.is_valid({name: value for name, value in event.items() if name != key})


def test_text_is_as_without_events(shop: Shop, here: Here) -> None:
    for argv in (["plan", "shop.yaml"], ["apply", "shop.yaml", "--dry-run"], ["plan", "nowhere.yaml"]):
        assert here(*argv, "--events", "events.jsonl") == here(*argv)


# Where it goes: stdout.


TOLD_PLANNED = ["version", "read", "plan", "call", "rows", "summary"]


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (["plan", "shop.yaml"], 0, ["version", "read", "plan", "summary"]),
        (["plan", "shop.yaml", "--detailed-exitcode"], 2, ["version", "read", "plan", "summary"]),
        (["plan", "removal.yaml"], 3, ["version", "read", "plan", "summary"]),
        (["plan", "nowhere.yaml"], 1, ["version", "summary"]),
        (["plan", "broken.yaml"], 1, ["version", "summary"]),
        (["plan", "--misspelt"], 1, ["version", "summary"]),
        (["plan", "unknown.yaml"], 1, ["version", "read", "summary"]),
        (["apply", "shop.yaml"], 1, ["version", "summary"]),
        (["apply", "shop.yaml", "--yes", "--calls", "nonsense"], 1, ["version", "summary"]),
        (["apply", "shop.yaml", "--yes", "--plan", "plan.json"], 1, ["version", "summary"]),
        (["apply", "shop.yaml", "--yes", "--expect-digest", "0" * 64], 4, TOLD_PLANNED),
        (["apply", "removal.yaml", "--yes"], 3, TOLD_PLANNED),
    ],
)  # fmt: skip
def test_stdout_is_the_stream_on_every_path(
    argv: list[str], code: int, told: list[str], shop: Shop, here: Here
) -> None:
    shop.write("removal.yaml", MANIFEST.replace("percent: 50", "count: 0"))
    shop.write("broken.yaml", "groups: [")
    shop.write("unknown.yaml", MANIFEST.replace("telemetry: v2", "telemetry: v9"))
    for events_flag in (["--events", "-"], ["--events=-"]):
        ended = here(*argv, *events_flag)
        found = events.read(ended.out)
        assert types(found) == told
        assert found[-1]["exit_code"] == ended.code == code
        assert bool(found[-1]["problems"]) == (code not in (0, 2))
        for problem in found[-1]["problems"]:
            assert problem["message"] in ended.err
    assert shop.writes() == []


def test_an_apply_whose_events_are_stdout(shop: Shop, here: Here) -> None:
    ended = here(*APPLY, "--events", "-", "--result", "result.json")
    assert ended.code == 0
    found = events.read(ended.out)
    events.check_fold(found, shop.read_json("result.json"))
    assert types(found)[:3] == ["version", "read", "plan"]


@pytest.mark.parametrize("fmt", ["text", "json", "markdown"])
def test_events_on_stdout_and_a_format_are_a_usage_error(fmt: str, shop: Shop, here: Here) -> None:
    for command in ("plan", "apply"):
        ended = here(command, "shop.yaml", "--events", "-", "--format", fmt)
        assert ended.code == 1
        assert "cannot be combined with --format" in ended.err
        assert fmt != "json" or ended.document["error"]["code"] == 1
    assert shop.control.requests() == []


# Where it goes: a file.


def test_runs_are_appended_each_with_numbers_of_its_own(shop: Shop, here: Here) -> None:
    assert here("plan", "shop.yaml", "--events", "events.jsonl").code == 0
    first = text_of(shop)
    assert here("plan", "shop.yaml", "--events", "events.jsonl").code == 0
    assert text_of(shop).startswith(first)
    events.read(first)
    events.read(text_of(shop).removeprefix(first))


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ('{"seq":1}\n{"seq":2,"ti', '{"seq":1}\n'),
        ('{"s', ""),
        ('{"seq":2,"x":"' + "y" * 200_000, ""),
        ('{"seq":1}\n', '{"seq":1}\n'),
        ("somebody's\nnotes", "somebody's\nnotes\n"),
        ("", ""),
    ],
)
def test_what_a_killed_run_left_torn_does_not_break_the_next_line(
    before: str, kept: str, shop: Shop, here: Here
) -> None:
    shop.write("events.jsonl", before)
    assert here("plan", "shop.yaml", "--events", "events.jsonl").code == 0
    text = text_of(shop)
    assert text.startswith(kept)
    events.read(text.removeprefix(kept))


@pytest.mark.parametrize("number", [1, 3])
def test_killed_while_it_sends_what_was_sent_is_in_the_file(number: int, shop: Shop) -> None:
    """Each call of its own, one after the other."""
    shop.control.fault(faults.SlowHeaders(seconds=60, when=When(path="/deployments/release$", nth=number)))
    with shop.started(*APPLY, "--calls", "explicit", "--parallelism", "1", "--events", "events.jsonl") as process:
        until(lambda: len(shop.writes()) == number)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    found = [json.loads(line) for line in text_of(shop).splitlines()]
    (calls,) = events.folded(found).values()
    assert [call["state"] for call in calls if call["state"] != "planned"] == ["accepted"] * (number - 1) + ["sent"]
    assert types(found)[-1] == "call"
    shop.control.clear_faults()
    assert shop.run(*APPLY, "--events", "events.jsonl").code == 0


def test_interrupted_it_ends_with_what_was_done(shop: Shop) -> None:
    shop.control.fault(faults.SlowHeaders(seconds=60, when=When(path="/deployments/release$", nth=2)))
    with shop.started(*APPLY, "--calls", "explicit", "--parallelism", "1", "--events", "-", "--result", "r") as process:
        until(lambda: len(shop.writes()) == 2)
        process.send_signal(signal.SIGINT)
        out, _ = processes.end(process)
    found = events.read(out)
    events.check_fold(found, shop.read_json("r"))
    assert found[-1]["exit_code"] == process.returncode == 130
    assert found[-1]["problems"][0]["message"] == "interrupted"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["plan", "shop.yaml", "--events", "shop.yaml"], "--events shop.yaml would overwrite an input file"),
        (["apply", "shop.yaml", "--yes", "--events", "./shop.yaml"], "would overwrite an input file"),
        (["apply", "--plan", "plan.json", "--yes", "--events", "plan.json"], "would overwrite an input file"),
        (["plan", "shop.yaml", "--out", "x", "--events", "./x"], "--events ./x is another output of this run, too"),
        ([*APPLY, "--result", "x", "--events", "./x"], "--events ./x is another output of this run, too"),
        (["plan", "shop.yaml", "--events", "no/such/file"], "--events no/such/file cannot be written"),
        ([*APPLY, "--events", "."], "--events . cannot be written"),
        ([*APPLY, "--events", ""], "--events"),
    ],
)
def test_a_file_that_cannot_be_is_said_before_anything_is_read(
    argv: list[str], told: str, shop: Shop, here: Here
) -> None:
    assert here("plan", "shop.yaml", "--out", "plan.json").code == 0
    asked, inputs = (
        len(shop.control.requests()),
        [(shop.folder / one).read_bytes() for one in ("shop.yaml", "plan.json")],
    )
    ended = here(*argv)
    assert ended.code == 1
    assert told in ended.err
    assert len(shop.control.requests()) == asked
    assert [(shop.folder / one).read_bytes() for one in ("shop.yaml", "plan.json")] == inputs


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
def test_a_full_disk_stops_nothing_and_shows_in_the_exit_code(shop: Shop, here: Here) -> None:
    ended = here("plan", "shop.yaml", "--events", "/dev/full")
    told = "Error: --events could not be written: No space left on device\n"
    assert (ended.code, ended.err) == (1, told)
    assert "Plan: 1 to add" in ended.out
    ended = here(*APPLY, "--events", "/dev/full", "--result", "result.json")
    assert (ended.code, ended.err) == (6, told)
    (result,) = shop.read_json("result.json")["results"]
    assert {call["state"] for call in result["calls"]} == {"confirmed"}


# Whoever reads it.


def test_a_reader_that_goes_away_stops_nothing(shop: Shop) -> None:
    process = shop.start(*APPLY, "--events", "-", "--result", "result.json")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = processes.end(process)
    assert process.returncode == 0
    assert err == "Note: --events was not read to its end: its reader went away; nothing else was affected\n"
    (result,) = shop.read_json("result.json")["results"]
    assert {call["state"] for call in result["calls"]} == {"confirmed"}


def test_a_reader_that_takes_a_few_lines_and_goes(shop: Shop, here: Here) -> None:
    os.mkfifo(shop.folder / "pipe")
    taken = []

    def take() -> None:
        with (shop.folder / "pipe").open() as pipe:
            taken.append(pipe.readline())

    thread = threading.Thread(target=take)
    thread.start()
    shop.control.fault(faults.Latency(seconds=0.2, when=When(method="POST")))
    ended = here(*APPLY, "--events", "pipe", "--result", "result.json")
    thread.join(30)
    assert ended.code == 0
    assert json.loads(taken[0])["type"] == "version"
    assert shop.read_json("result.json")["error"] is None


def test_a_reader_that_does_not_read_stops_nothing(shop: Shop, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.cli.events import sink

    monkeypatch.setattr(sink, "PATIENCE_S", 0.01)
    os.mkfifo(shop.folder / "pipe")
    reader = os.open(shop.folder / "pipe", os.O_RDWR)
    try:
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        os.write(reader, b"\n" * 4096)
        ended = here(*APPLY, "--events", "pipe", "--result", "result.json")
        assert ended.code == 0
        assert "Note: --events was not read to its end: its reader does not read" in ended.err
        assert shop.read_json("result.json")["error"] is None
        assert os.read(reader, 4096) == b"\n" * 4096
    finally:
        os.close(reader)
