"""Terraform's spellings are told ours."""

from __future__ import annotations

import pytest

from tests.support.cli import run_here


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ("plan -json", "-json is Terraform's spelling (write --format json)"),
        ("-json plan", "-json is Terraform's spelling (write --format json)"),
        ("plan --json", "--json is Terraform's spelling (write --format json)"),
        ("validate -json m.yaml", "-json is Terraform's spelling (write --format json)"),
        ("plan -out=plan.json", "-out is Terraform's spelling (write --out plan.json)"),
        ("plan -out plan.json", "-out is Terraform's spelling (write --out FILE)"),
        ("apply -auto-approve", "-auto-approve is Terraform's spelling (write --yes)"),
        ("apply --auto-approve", "--auto-approve is Terraform's spelling (write --yes)"),
        ("plan -target=flow=telemetry", "-target is Terraform's spelling (write --target flow=telemetry)"),
        (
            "plan -target=pump-7",
            "-target is Terraform's spelling (write --target device=pump-7, --target flow=NAME or --target group=NAME)",
        ),
        ("plan -detailed-exitcode", "-detailed-exitcode is Terraform's spelling (write --detailed-exitcode)"),
        ("plan -parallelism=10", "-parallelism is Terraform's spelling (write --parallelism 10)"),
        ("plan -help", "-help is Terraform's spelling (write --help)"),
        ("-version", "-version is Terraform's spelling (write --version)"),
        ("plan -no-color", "-no-color is Terraform's spelling (write --color never)"),
        ("plan -out=\x1b[2Jp", r"-out is Terraform's spelling (write --out \x1b[2Jp)"),
    ],
)
def test_a_spelling_of_terraform_is_told_ours(argv: str, told: str) -> None:
    ended = run_here(*argv.split(" "))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"Error: {told}\n"


def test_the_remedy_is_accepted() -> None:
    ended = run_here("validate", "--format", "json", "--color", "never", "no-such-file.yaml")
    assert ended.document["error"]["problems"][0]["path"] == "no-such-file.yaml"


@pytest.mark.parametrize("argv", ["plan -jsno", "plan --nope", "plan -- -json"])
def test_other_mistakes_are_told_as_they_are(argv: str) -> None:
    assert "Terraform" not in run_here(*argv.split(" ")).err
