"""docs/tokens.md: each command is run as typed, with stand-ins for the programs that keep secrets."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from reconciler.simulator import serve
from tests.support.cli import run_here
from tests.support.fleet import APPLICATION, FLEET, MANIFEST

PAGE = (Path(__file__).parent.parent / "docs/tokens.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [text.strip() for text in BLOCKS if text.startswith("reconciler ")]
[SCRIPT] = [text for text in BLOCKS if text.startswith("#!")]
# What each program is asked for, and what it answers.
STAND_INS = {
    "vault": """case "$*" in
  "write -field=token auth/jwt/login role=fleet jwt=identity") echo login;;
  "kv get -mount=secret -field=token losant/fleet") echo TOKEN;;
  "kv get -mount=secret -field=token losant/APPLICATION") echo TOKEN;;
  *) exit 9;;
esac""",
    "aws": """case "$*" in
  "secretsmanager get-secret-value --secret-id losant/fleet --query SecretString --output text")
    echo '{"token": "TOKEN"}';;
  *) exit 9;;
esac""",
    "op": """case "$*" in "read --no-newline op://Fleet/losant/token") printf %s TOKEN;; *) exit 9;; esac""",
}


def test_the_page_has_a_command_for_each_of_them() -> None:
    assert len(COMMANDS) == 5
    assert {word for text in COMMANDS for word in STAND_INS if word in text} == set(STAND_INS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_works_as_typed(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(FLEET) as server:
        bin_folder = tmp_path / "bin"
        bin_folder.mkdir()
        for name, text in STAND_INS.items():
            program = bin_folder / name
            program.write_text("#!/bin/sh\n" + text.replace("TOKEN", server.token).replace("APPLICATION", APPLICATION))
            program.chmod(0o755)
        (tmp_path / "manifests").mkdir()
        (tmp_path / "manifests/shop.yaml").write_text(MANIFEST)
        (tmp_path / "losant-token").write_text(SCRIPT)
        (tmp_path / "losant-token").chmod(0o755)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("VAULT_ID_TOKEN", "identity")
        monkeypatch.setenv("LOSANT_API_URL", server.url)
        monkeypatch.delenv("LOSANT_API_TOKEN", raising=False)
        ended = run_here(*shlex.split(command)[1:])
        assert ended.code == 0, ended.err
        assert "Plan: " in ended.out
