"""Whatever is put in wrongly: one clear line for each problem, the right code, one JSON document, nothing written."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
from jsonschema_rs import Draft202012Validator

from reconciler.documents.json_schema import output_schema
from reconciler.simulator import faults, serve
from tests.support.cli import Ended, Here
from tests.support.fleet import APPLICATION, FLEET, HEAD, Shop
from tests.support.time import skip_pauses

FIVE_MISTAKES = f"""\
apiVersion: reconciler/v1
application: {APPLICATION}
grups: {{}}
groups:
  all: {{select: {{all: true}}, flows: {{telemetry: }}}}
  all: {{select: {{all: true}}, flows: {{telemetry: v2}}}}
devices:
  leeds-1: {{alarms: develop}}
pins:
  - {{device: leeds-2, flows: {{telemetry: v1}}}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(
        f"{FLEET}    tokens: [{{text: may-only-read-deployments, scopes: [embeddedDeployments.get]}}]\n"
    ) as server:
        yield Shop(server, tmp_path)


@pytest.fixture
def here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Here:
    skip_pauses(monkeypatch)
    return shop.here(monkeypatch)


Arm: TypeAlias = Callable[[Shop, pytest.MonkeyPatch], object]


@dataclass(frozen=True)
class Mistake:
    """A command line, and the lines (patterns) that it is answered with on stderr."""

    argv: str
    says: tuple[str, ...]
    arm: Arm | None = None


def set_to(name: str, value: str) -> Arm:
    return lambda _, monkeypatch: monkeypatch.setenv(name, value)


def answer(fault: faults.Fault) -> Arm:
    return lambda shop, _: shop.control.fault(fault)


def lose_dns(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setenv("LOSANT_API_URL", "https://api.losant.invalid")


def manifest(text: str) -> Arm:
    return lambda shop, _: shop.write("shop.yaml", text)


def mistake(argv: str, *says: str, arm: Arm | None = None) -> Mistake:
    return Mistake(argv, says, arm)


NOWHERE = f"{HEAD.replace(APPLICATION, '0' * 24)}devices: {{leeds-1: {{telemetry: v2}}}}\n"
UNKNOWN_NAMES = f"{HEAD}devices: {{leeds-11: {{telemetry: v2}},\n leeds-2: {{telemtry: v2}}}}\n"
UNKNOWN_VERSION = f"{HEAD}devices: {{leeds-1: {{telemetry: v22}}}}\n"
MISTAKES = {
    # the way to the API
    "unreachable host": mistake(
        "plan shop.yaml --api-url http://127.0.0.1:9",
        r"Error: GET \S+: no response from 127\.0\.0\.1: connection refused \(check the network",
    ),
    "unknown host": mistake(
        "plan shop.yaml", r"Error: .* api\.losant\.invalid: the host name does not resolve", arm=lose_dns
    ),
    "wrong token": mistake(
        "plan shop.yaml",
        r'Error: .*HTTP 401, .*"Invalid access token" \(the token from LOSANT_API_TOKEN is wrong, revoked or expired',
        arm=set_to("LOSANT_API_TOKEN", "no-such-token-was-ever-made"),
    ),
    "a scope too few": mistake(
        "plan shop.yaml",
        r"Error: devices cannot be read: .*HTTP 403.*\(give the token the scope devices\.get",
        arm=set_to("LOSANT_API_TOKEN", "may-only-read-deployments"),
    ),
    "forbidden": mistake(
        "plan shop.yaml",
        r"Error: .*HTTP 403.* scope embeddedDeployments\.get",
        arm=answer(faults.Status(status=403, when=faults.When(action="embeddedDeployments.get"))),
    ),
    "unknown application": mistake(
        "plan shop.yaml",
        r'shop\.yaml:2:14: .*HTTP 404, .*"Application was not found" \(check the application\'s id',
        arm=manifest(NOWHERE),
    ),
    "HTML": mistake("plan shop.yaml", r"Error: .* \(.+\)$", arm=answer(faults.Garble(how="html"))),
    "HTML with an error": mistake(
        "apply shop.yaml --yes", r"shop\.yaml:2:14: .*HTTP 404", arm=answer(faults.Status(status=404, body="html"))
    ),
    "no token": mistake(
        "plan shop.yaml",
        rf"Error: no API token for application {APPLICATION}.*\(set LOSANT_API_TOKEN_{APPLICATION} or LOSANT_API_TOKE",
        arm=set_to("LOSANT_API_TOKEN", ""),
    ),
    "token file that is none": mistake("plan shop.yaml --token-file nope", "Error: --token-file nope: No such file"),
    "plain http": mistake("plan shop.yaml --api-url http://example.com", "Error: .* would send the token unencrypted"),
    # files
    "five mistakes": mistake(
        "plan shop.yaml",
        r"shop\.yaml:3:1: unknown key \"grups\" \(did you mean groups\?\)$",
        r"shop\.yaml:5:38: \"telemetry\" has no version \(write `absent`",
        r"shop\.yaml:6:3: duplicate key \"all\", first at line 5 ",
        r"shop\.yaml:8:21: \"alarms\": \"develop\" is not deployable ",
        r"shop\.yaml:10:5: \"reason\" is missing ",
        arm=manifest(FIVE_MISTAKES),
    ),
    "names that nobody has": mistake(
        "plan shop.yaml",
        r"shop\.yaml:3:11: .*leeds-11.*nearest: leeds-1",
        r"shop\.yaml:4:12: .*telemtry.*nearest: telemetry",
        arm=manifest(UNKNOWN_NAMES),
    ),
    "a version that does not exist": mistake(
        "plan shop.yaml", r"shop\.yaml:3:21: .*v22.*nearest: v2", arm=manifest(UNKNOWN_VERSION)
    ),
    "missing file": mistake("plan nope.yaml", r"nope\.yaml: no such file or directory"),
    "no file at all": mistake("plan", "manifests: no such file or directory"),
    "no manifest": mistake("validate shop.yaml", r"shop\.yaml:\d+:\d+: ", arm=manifest("[]")),
    "no plan": mistake("apply --plan nope.json --yes", r"Error: nope\.json cannot be read: No such file"),
    "a plan that is none": mistake("apply --plan shop.yaml --yes", r"Error: shop\.yaml is neither a plan nor"),
    "showing what is none": mistake("show shop.yaml", r"Error: shop\.yaml is neither a plan nor a result"),
    "unwritable --out": mistake("plan shop.yaml --out no/where", "Error: --out no/where cannot be written: No such"),
    "a folder as --result": mistake("apply shop.yaml --yes --result .", r"Error: --result \. cannot be written: Is a"),
    # flags
    "misspelt flag": mistake(
        "plan shop.yaml --detailed-exitcod", r"Error: .*--detailed-exitcod\b.*--detailed-exitcode\b"
    ),
    "misspelt command": mistake("aply shop.yaml", r"Error: there is no command 'aply'; did you mean 'apply'\? \(see"),
    "no such command": mistake("nonsense", r"Error: there is no command 'nonsense' \(see `reconciler --help`\)$"),
    "--parallelism 0": mistake("plan shop.yaml --parallelism 0", r"Error: .*--parallelism\b.*\b0\b"),
    "--timeout": mistake("apply shop.yaml --yes --timeout soon", "Error: .*--timeout.*'soon' is not a duration"),
    "both a plan and paths": mistake(
        "apply shop.yaml --plan p.json --target flow=x --yes",
        "Error: --plan carries out .* cannot be combined with PATH, --target",
    ),
    "a target that is none": mistake("plan shop.yaml --target x", "Error: .*--target.*'x' is not of the form"),
    "a target that nobody has": mistake(
        "plan shop.yaml --target flow=telemtry", "Error: --target flow=telemtry: .*nearest: telemetry"
    ),
    "an application that is not there": mistake(
        "plan shop.yaml --application x", "Error: no manifest here .*available: shop"
    ),
    "no terminal to ask on": mistake("apply shop.yaml", r"Error: approval needs a terminal .*\(pass --yes"),
    "a device that nobody has": mistake(
        "status shop.yaml --device leeds", "Error: device leeds: there is no such device"
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name: str, shop: Shop, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake = MISTAKES[name]
    if mistake.arm:
        mistake.arm(shop, monkeypatch)
    told = here(*mistake.argv.split())
    lines = errors(told)
    assert told.code == 1
    assert len(lines) == len(mistake.says), told.err
    for line, pattern in zip(lines, mistake.says, strict=True):
        assert re.match(pattern, line), line
    assert told.out == ""

    document = here(*mistake.argv.split(), "--format", "json")
    assert document.code == 1
    assert errors(document) == lines
    check_document(document, lines, command=mistake.argv.split()[0])
    assert shop.writes() == []
    assert shop.server.token not in told.out + told.err + document.out + document.err


def errors(done: Ended) -> list[str]:
    """The lines on stderr but for the pauses of a connection that fails."""
    return [line for line in done.err.splitlines() if "trying again in" not in line]


def check_document(done: Ended, lines: list[str], *, command: str) -> None:
    """Exactly one document, with the problems that stderr tells."""
    data = done.document
    assert done.out == json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
    assert data["error"]["code"] == 1
    problems = data["error"]["problems"]
    assert len(problems) == len(lines)
    for problem, line in zip(problems, lines, strict=True):
        assert problem["message"] in line
        assert (problem["path"] or "Error") == line.partition(":")[0]
    if command in ("plan", "apply", "status", "validate", "show"):
        Draft202012Validator(output_schema()).validate(data)


@pytest.mark.parametrize(
    "argv",
    [
        "--format json nonsense",
        "nonsense --format json",
        "plan --format=json --nope",
        "plan --format json --out",
        "--format=json",
    ],
)
def test_usage_errors_are_json_where_it_is_asked_for(argv: str, here: Here) -> None:
    done = here(*argv.split())
    assert done.code == 1
    assert done.document["error"]["code"] == 1


@pytest.mark.parametrize(
    ("argv", "command"),
    [("plan --out", "reconciler plan"), ("--api-url", "reconciler"), ("status --device", "reconciler status")],
)
def test_an_option_without_its_argument_is_told_with_the_help_of_its_command(
    argv: str, command: str, here: Here
) -> None:
    words = argv.split()
    done = here(*words)
    assert done.code == 1
    assert re.fullmatch(rf"Error: .*{words[-1]}\b.* \(see `{command} --help`\)\n", done.err)


def test_the_last_format_counts(here: Here) -> None:
    assert here("plan", "shop.yaml", "--format", "json", "--format", "text", "--parallelism", "0").out == ""


ECHOES = [*(faults.Status(status=status, body="echo") for status in (400, 401, 403, 500)), faults.Redirect()]


@pytest.mark.parametrize("fault", ECHOES, ids=lambda fault: f"{fault.kind}-{fault.status}")
@pytest.mark.parametrize(
    "command", ["plan shop.yaml", "apply shop.yaml --yes --result result.json", "status shop.yaml"]
)
def test_the_token_is_told_nowhere(fault: faults.Fault, command: str, shop: Shop, here: Here) -> None:
    """Not at -vv, and not where the server repeats it."""
    for when in (faults.When(), faults.When(method="POST")):
        shop.control.clear_faults()
        shop.control.fault(fault.model_copy(update={"when": when}))
        for fmt in ("text", "json", "markdown"):
            done = here("-vv", *command.split(), "--format", fmt)
            result = shop.folder / "result.json"
            saved = result.read_text(encoding="utf-8") if result.exists() else ""
            for text in (done.out, done.err, saved):
                assert shop.server.token not in text
                assert shop.server.token[:16] not in text
            assert re.search(r"^(GET|POST) \S+: (\d{3}|no response) in ", done.err, re.MULTILINE)


def test_a_bug_is_told_without_a_traceback(shop: Shop, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("a secret that nobody may see")

    monkeypatch.setattr("reconciler.planner.planner.cover", explode)
    for command in ("plan shop.yaml", "apply shop.yaml --yes --result result.json"):
        done = here(*command.split(), "--format", "json")
        assert done.code == 1
        assert re.fullmatch(
            r"Error: unexpected RuntimeError in planner/planner\.py:\d+; this is a bug in reconciler .*\n", done.err
        )
        assert "this is a bug" in done.document["error"]["problems"][0]["message"]
    assert "this is a bug" in shop.read_json("result.json")["error"]["problems"][0]["message"]
    assert shop.writes() == []


@pytest.mark.parametrize(
    "argv",
    [
        ["plan", ""],
        ["validate", "shop.yaml", ""],
        ["apply", "shop.yaml", "--yes", "--application", ""],
        ["apply", "shop.yaml", "--yes", "--expect-digest", ""],
        ["apply", "shop.yaml", "--yes", "--expect-digest", "abc"],
    ],
)
def test_empty_and_misshapen_arguments_are_no_choice(argv: list[str], shop: Shop) -> None:
    done = shop.run(*argv)
    assert done.code == 1
    assert re.match(r"Error: .*(it is empty; is a variable|a digest is sha256: and)", done.err)
    assert shop.writes() == []


@pytest.mark.parametrize(
    "argv",
    [
        ["plan", "shop.yaml", "--out", "./shop.yaml"],
        ["plan", ".", "--out", "shop.yaml"],
        ["apply", "shop.yaml", "--dry-run", "--result", "link.yaml"],
        ["apply", "--plan", "plan.json", "--yes", "--result", "plan.json"],
    ],
)
def test_nothing_that_is_read_is_overwritten(argv: list[str], shop: Shop) -> None:
    assert shop.run("plan", "shop.yaml", "--out", "plan.json").code == 0
    (shop.folder / "link.yaml").symlink_to("shop.yaml")
    before = [(shop.folder / name).read_text() for name in ("shop.yaml", "plan.json")]
    done = shop.run(*argv)
    assert done.code == 1
    assert "would overwrite an input file" in done.err
    assert [(shop.folder / name).read_text() for name in ("shop.yaml", "plan.json")] == before
    assert shop.writes() == []


def test_bases_upon_bases(shop: Shop) -> None:
    for number in range(1_200):
        (shop.folder / f"base{number}.yml").write_text(f"apiVersion: reconciler/v1\nextends: base{number + 1}.yml\n")
    (shop.folder / "deep.yaml").write_text(f"{HEAD}extends: base0.yml\n")
    done = shop.run("validate", "deep.yaml")
    assert done.code == 1
    assert re.fullmatch(r"base\d+.yml:2:10: more than 50 bases in a chain \(.*\)\n", done.err + done.out)
