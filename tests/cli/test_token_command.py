"""`--token-command`: where the token comes from, how often, and that nothing of what the command says is shown."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.api.http import token_command
from reconciler.simulator import faults, serve
from tests.support.cli import Here, run_here
from tests.support.fleet import APPLICATION, FLEET, Shop
from tests.support.token_program import program, runs

OTHER = "5f0c8a1b2d3e4f5061728395"
TWO = [
    {"id": one, "name": name, "flows": {"f": {"versions": ["v1"]}}, "devices": []}
    for one, name in ((APPLICATION, "a"), (OTHER, "b"))
]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(FLEET) as server:
        yield Shop(server, tmp_path)


@pytest.fixture
def here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Here:
    return shop.here(monkeypatch)


def test_it_beats_the_environment_and_runs_once_for_each_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    users = "a-token-of-a-user-for-all"
    with serve({"applications": TWO, "tokens": [{"text": users, "scopes": ["all.User"]}]}) as server:
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.setenv(f"LOSANT_API_TOKEN_{APPLICATION}", "another")
        documents = [
            f"apiVersion: reconciler/v1\napplication: {one}\nkind: {kind}\n"
            "groups: {all: {select: {all: true}, flows: {f: v1}, may_be_empty: true}}\n"
            for one, kind in ((APPLICATION, "embedded"), (APPLICATION, "edge"), (OTHER, "embedded"))
        ]
        Path("a.yaml").write_text("---\n".join(documents))
        command = program(tmp_path, f"print({users!r})")
        ended = run_here("plan", "--allow-empty", "--token-command", command, "a.yaml", "--application", OTHER)
        assert (ended.code, runs(tmp_path)) == (0, [OTHER]), ended.err
        (tmp_path / "runs").unlink()
        run_here("plan", "--allow-empty", "--token-command", command, "a.yaml")
        assert runs(tmp_path) == [APPLICATION, OTHER]


@pytest.mark.parametrize(
    "form", ["{0}", " {0}\r\n", '{{"token": "{0}", "expires": "2099-01-01T00:00:00Z"}}', '{{"token":"{0}"}}']
)
def test_it_writes_the_token_or_json(here: Here, shop: Shop, form: str, tmp_path: Path) -> None:
    command = program(tmp_path, f"print({form.format(shop.server.token)!r})")
    ended = here("-vv", "plan", "shop.yaml", "--token-command", command)
    assert ended.code == 0, ended.err
    assert shop.server.token not in ended.out + ended.err


LEAK = "sEcReT-sEcReT-sEcReT"
FAILURES = {
    "exit code": (f"print({LEAK!r}); print({LEAK!r}, file=sys.stderr); sys.exit(3)", "it exited with 3"),
    "a signal": (f"print({LEAK!r}, flush=True); os.kill(os.getpid(), 9)", "it was ended by signal 9"),
    "nothing": ("pass", "the token is empty"),
    "a word too many": (f"print('Bearer', {LEAK!r})", "must not start with the word Bearer"),
    "two lines": (f"print('a'); print({LEAK!r})", "white space or line breaks"),
    "not text": (rf"sys.stdout.buffer.write(b'\xff' + {LEAK!r}.encode())", "it wrote no UTF-8 text"),
    "half of JSON": (f"""print('{{"token": "{LEAK}"')""", "it wrote no valid JSON"),
    "deep JSON": ("""print('{"a":' * 10000)""", "it wrote no valid JSON"),
    "JSON without a token": (f"""print('{{"secret": "{LEAK}"}}')""", "its JSON has no text `token`"),
    "JSON with a number": ("""print('{"token": 7}')""", "its JSON has no text `token`"),
    "JSON with a date that is none": (
        f"""print('{{"token": "{LEAK}", "expires": "{LEAK}"}}')""",
        "its `expires` is not a date and time with a time zone",
    ),
    "JSON with a date without a zone": (
        f"""print('{{"token": "{LEAK}", "expires": "2099-01-01T00:00:00"}}')""",
        "its `expires` is not a date and time with a time zone",
    ),
    "a token that has expired": (
        f"""print('{{"token": "{LEAK}", "expires": "2020-01-01T00:00:00Z"}}')""",
        "the token that it gave has expired",
    ),
    "no end of text": (f"while True: print({LEAK!r})", "it wrote too much to be a token"),
}


@pytest.mark.parametrize(("text", "problem"), FAILURES.values(), ids=FAILURES)
def test_each_failure_is_told_without_the_output(
    here: Here, shop: Shop, text: str, problem: str, tmp_path: Path
) -> None:
    ended = here("-vv", "plan", "shop.yaml", "--format", "json", "--token-command", program(tmp_path, text))
    assert ended.code == 1
    [told] = ended.document["error"]["problems"]
    assert told["message"].startswith("--token-command")
    assert problem in told["message"]
    assert told["hint"]
    assert LEAK not in ended.out + ended.err
    assert len(runs(tmp_path)) == 1
    assert shop.control.requests() == []


@pytest.mark.parametrize("text", ["import time; time.sleep(600)", "os.close(1); import time; time.sleep(600)"])
def test_it_has_thirty_seconds(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert token_command.LIMIT_S == 30
    monkeypatch.setattr(token_command, "LIMIT_S", 0.2)
    command = f"{shlex.quote(sys.executable)} -S -c 'import os; {text}'"
    ended = here("plan", "shop.yaml", "--token-command", command)
    assert ended.code == 1
    assert f"--token-command for application {APPLICATION}: it did not end within 0.2 s (" in ended.err


def test_what_it_leaves_behind_is_not_waited_for(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_command, "LIMIT_S", 0.5)
    ended = here("plan", "shop.yaml", "--token-command", "sh -c 'sleep 5 & echo token'")
    assert ended.code == 1
    assert "it did not end within 0.5 s" in ended.err


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("no-such-program --flag", "there is no program no-such-program on the PATH (give its whole path)"),
        ("./no-such-program", "./no-such-program cannot be run: No such file or directory"),
        (".", "there is no program . on the PATH"),
        ("./", "./ cannot be run: Permission denied"),
        ("printf 'x", "a quotation mark is not closed, or no program is named (quote each word)"),
        ("''", "a quotation mark is not closed, or no program is named (quote each word)"),
        (" ", "it is empty; is a variable unset?"),
    ],
)
def test_a_command_that_is_none(here: Here, command: str, problem: str) -> None:
    ended = here("plan", "shop.yaml", "--token-command", command)
    assert ended.code == 1
    assert problem in ended.err


def test_no_shell_sees_it(here: Here, shop: Shop, tmp_path: Path) -> None:
    command = f"printf %s $(touch {tmp_path}/made) ; touch {tmp_path}/made"
    assert here("plan", "shop.yaml", "--token-command", command).code == 1
    assert not (tmp_path / "made").exists()
    shop.write("printf", "#!/bin/sh\n").chmod(0o755)  # in the working directory, as a pull request could have it
    ended = here("plan", "shop.yaml", "--token-command", f"printf %s {shop.server.token}")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("words", ["plan shop.yaml", "validate shop.yaml", "ci plan --application a --kind edge"])
def test_with_a_file_it_is_a_usage_error(here: Here, words: str, tmp_path: Path) -> None:
    command = program(tmp_path, "print('token')")
    for options in (["--token-file", "f", "--token-command", command], ["--token-command", command, "--token-file=f"]):
        ended = here(*options, *words.split())
        assert (ended.code, ended.err) == (
            1,
            "Error: --token-file and --token-command each name a token: give one of them (see `reconciler --help`)\n",
        )
    assert here("--token-file", "f", *words.split(), "--token-command", command).code == 1
    assert not (tmp_path / "runs").exists()


def test_commands_that_ask_nobody_do_not_run_it(here: Here, tmp_path: Path) -> None:
    assert here("validate", "shop.yaml", "--token-command", program(tmp_path, "print('token')")).code == 0
    assert not (tmp_path / "runs").exists()


# What the API refuses.


def test_a_401_runs_it_again_once(here: Here, shop: Shop, tmp_path: Path) -> None:
    command = program(tmp_path, f"print({shop.server.token!r} if runs > 1 else 'no-such-token-was-made')")
    ended = here("plan", "shop.yaml", "--token-command", command)
    assert ended.code == 0, ended.err
    assert len(runs(tmp_path)) == 2
    assert "HTTP 401 for a token of which there is a new one now; trying again" in ended.err


def test_another_401_ends_the_run(here: Here, shop: Shop, tmp_path: Path) -> None:
    ended = here("plan", "shop.yaml", "--token-command", program(tmp_path, f"print('wrong-{LEAK}' + str(runs))"))
    assert ended.code == 1
    assert len(runs(tmp_path)) == 2
    assert "(the token from --token-command is wrong, revoked or expired" in ended.err
    assert LEAK not in ended.err


def test_a_401_whose_command_fails_says_both(here: Here, tmp_path: Path) -> None:
    ended = here(
        "plan", "shop.yaml", "--token-command", program(tmp_path, f"print('wrong-{LEAK}'); sys.exit(runs - 1)")
    )
    assert ended.code == 1
    assert f": HTTP 401; --token-command for application {APPLICATION}: it exited with 1 (" in ended.err
    assert LEAK not in ended.err


def test_a_second_token_carries_the_apply_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [{"text": f"{one}-token-of-the-fleet", "scopes": ["all.User"]} for one in ("first", "second")]
    with serve(FLEET + f"tokens: {json.dumps(tokens)}\n") as server:
        shop = Shop(server, tmp_path)
        here = shop.here(monkeypatch)
        server.control.fault(faults.Status(status=401, when=faults.When(method="POST", times=1)))
        command = program(tmp_path, "print(['first', 'second'][runs - 1] + '-token-of-the-fleet')")
        ended = here("apply", "shop.yaml", "--yes", "--format", "json", "--token-command", command)
        assert ended.code == 0, ended.err
        assert len(runs(tmp_path)) == 2
        statuses = [one["status"] for one in server.control.requests() if one["method"] == "POST"]
        assert statuses.count(401) == 1
        assert max(call["attempts"] for call in ended.result["calls"]) == 2
        assert here("plan", "shop.yaml").out.count("No changes.") == 1


def test_a_step_of_a_pipeline_hands_it_on(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.ci import plan as step

    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    given: list[tuple[str, ...]] = []
    monkeypatch.setattr(step, "step", lambda _, application, **__: given.append(application.options) or 0)  # type: ignore[func-returns-value]
    run_here(
        "ci",
        "--token-command",
        "vault read x",
        "plan",
        "--application",
        APPLICATION,
        "--kind",
        "embedded",
        "--out",
        "r",
    )
    run_here("--token-command", "a", "ci", "plan", "--application", APPLICATION, "--kind", "embedded", "--out", "r")
    assert given == [("--token-command", "vault read x"), ("--token-command", "a")]
