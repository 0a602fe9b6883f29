"""What needs no token: mistakes in the manifests, and what a pull request changes in the desired state."""

from __future__ import annotations

from pathlib import Path

from reconciler.ci.command import git, reconciler
from reconciler.ci.provider import Provider, Trigger
from reconciler.errors import Problem, UsageError

_SUMMARY_BYTES, _COMMENT_BYTES = 60_000, 15_000  # the comment has to have room for the plans


def step(provider: Provider, *, path: str, diff: Path) -> int:
    """Validate, and show each problem on its line; then the diff, on the summary and in a file for the comment."""
    answer = reconciler("validate", "--format", "json", "--", path)
    document = answer.document()
    found = [Problem(**one) for one in (document["error"] or {}).get("problems", ())]
    provider.annotate("error", found)
    provider.annotate("warning", [Problem(**one) for one in document.get("warnings", ())])
    provider.log(f"{len(found)} problems" if found else f"{len(document['applications'])} applications, no problems")
    run = provider.run()
    if answer.code == 0 and run.trigger is Trigger.REVIEW:
        shown = difference(path, run.base, max_bytes=_SUMMARY_BYTES)
        provider.summary(f"### What changes in the desired state\n\n{shown}")
        diff.parent.mkdir(parents=True, exist_ok=True)
        diff.write_text(difference(path, run.base, max_bytes=_COMMENT_BYTES).rstrip("\n") + "\n", encoding="utf-8")
    return answer.code


def difference(path: str, base: str, *, max_bytes: int) -> str:
    """The difference as Markdown. A base that cannot be read is not a mistake of the pull request."""
    if Path(base).exists():  # to `reconciler diff` it would be a folder, and a pull request could bring one along
        raise UsageError(f"the repository holds a file named {base}, which hides the revision of that name")
    if not git("ls-tree", "--name-only", base, "--", path):
        return "The base holds no manifests there: everything is new."
    shape = ["--format", "markdown", "--max-bytes", str(max_bytes)]
    answer = reconciler("diff", *shape, "--path", path, "--", base)
    return "The manifests of the base could not be read, so there is no diff." if answer.code else answer.stdout
