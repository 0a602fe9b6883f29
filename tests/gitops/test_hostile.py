"""Names that want to be more than text, through the whole workflow: annotations, summaries, comment, issue."""

from __future__ import annotations

import json
import re

from markdown_it import MarkdownIt

from tests.gitops.conftest import PLANT, Build
from tests.gitops.steps import Job

NAMES = [
    "a | b | c",
    "`tick` ``two`` ```three```",
    "~~~~\n~~~~",
    "````````````",
    "<script>alert(1)</script><img src=x onerror=y>",
    "<!-- --> </details>",
    "@team/everyone #1 GH-2 c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ff",
    "[link](https://evil.example) ![image](https://evil.example/x.png) https://evil.example",
    "line\n::error::not ours\n::set-output name=apply::true",
    "##[command]rm ##vso[task.setvariable variable=x]y",
    "%0A::warning::not ours %25 %2C",
    "bell\x07 esc\x1b[31m bidi\u202eevil\u2066 zero\u200bwidth",
    "🚀" * 255,
    '$(touch pwned) ${{ secrets.OTHER }} `id` "; exit 0 #',
]


def fleet(names: list[str]) -> dict[str, object]:
    devices = [{"name": name, "deployed": {"telemetry": "v1"}} for name in names]
    flows = {"telemetry": ["v1", "v2"]}
    return {"applications": [{"id": PLANT, "name": "plant", "flows": flows, "devices": devices}]}


def manifest(version: str, name: str = "plant") -> str:
    groups = {"all": {"select": {"all": "true"}, "flows": {"telemetry": version}}}
    limits = {"removals": {"count": "100", "percent": "100"}}
    application = {"id": PLANT, "name": name}
    return json.dumps(
        {"apiVersion": "reconciler/v1", "application": application, "groups": groups, "limits": limits},
        ensure_ascii=False,
    )


def harmless(markdown: str) -> str:
    """No link, image, HTML but our own folding, nor block that swallows the rest; the text of all code spans."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)
    inline = [child for token in tokens for child in token.children or []]
    assert not [child for child in inline if child.type in ("link_open", "image")]
    html = [token.content for token in tokens if token.type == "html_block"]
    html += [child.content for child in inline if child.type == "html_inline"]
    for piece in html:
        left = re.sub(r"</?details>|<summary>[^<>]*</summary>|<!-- reconciler .* -->", "", piece)
        assert "<" not in left, left
    plain = "".join(child.content for child in inline if child.type == "text")
    for sign in ("@team", "GH-2", "https://evil", "c0ffee"):
        assert sign not in plain, f"{sign} outside of code in {plain!r}"
    return "\n".join(child.content for child in inline if child.type == "code_inline")


def commands(job: Job) -> list[str]:
    """Lines of a log that GitHub would act on."""
    found = [line for line in job.log.splitlines() if re.match(r"\s*::[a-z-]+.*?::", line)]
    return found + re.findall(r"##(?:\[|vso\[).*", job.log)


def test_names_stay_text_wherever_a_plan_is_shown(build: Build) -> None:
    world = build(fleet=fleet(NAMES))
    run = world.pull(1, {"manifests/plant.yaml": manifest("absent")})  # removals are listed one by one
    assert run.conclusion == "success", run.job("plan").log
    assert not [line for job in run.jobs for line in commands(job)]
    (body,) = world.hub.bodies(1)
    shown = harmless(body)
    assert "not ours" in shown
    assert "14 to destroy" in body
    assert "14 to destroy" in run.job("plan").summary
    for job in ("check", "plan"):
        harmless(run.job(job).summary)
    world.merge(1)
    assert not (world.git.folder / "pwned").exists()


def test_names_stay_text_in_errors(build: Build) -> None:
    """A manifest names the application as somebody evil does: it is told, in one annotation and in the comment."""
    world = build(fleet=fleet(["pump"]))
    for number, name in enumerate((NAMES[4], NAMES[8]), 1):
        run = world.pull(number, {"manifests/plant.yaml": manifest("v2", name)}, branch=f"b{number}")
        assert run.conclusion == "failure"
        for job in run.jobs:
            for line in commands(job):
                assert line.startswith(("::error file=manifests/plant.yaml,line=1,col=", "::error::")), line
        (body,) = world.hub.bodies(number)
        harmless(body)
