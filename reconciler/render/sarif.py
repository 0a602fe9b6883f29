"""Problems as SARIF 2.1.0, the format that code scanning services show on the lines of a change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from reconciler import __version__
from reconciler.errors import Problem, told
from reconciler.render.inert import inert

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_RULES = (
    {"id": "problem", "shortDescription": {"text": "The manifest cannot be used as it is."}},
    {"id": "warning", "shortDescription": {"text": "The manifest can be used, but may not say what is meant."}},
)


def sarif_log(
    problems: Iterable[Problem], warnings: Iterable[Problem], *, exit_code: int, uri_of: Callable[[str], str | None]
) -> dict[str, Any]:
    """A log of one run. What has no place in a file is a notification: services refuse results without one.

    Args:
        problems: errors; of very many the first 500.
        warnings: what does not fail the run.
        exit_code: the exit code of the command.
        uri_of: the URI of a path; None if it leads to no file, as standard input.
    """
    found = [("error", problem) for problem in told(tuple(problems))] + [("warning", problem) for problem in warnings]
    results = [_result(level, one, uri) for level, one in found if (uri := _uri(one, uri_of))]
    others = [(level, one) for level, one in found if not _uri(one, uri_of)]
    invocation = {
        "executionSuccessful": not any(level == "error" for level, _ in others),
        "exitCode": int(exit_code),
        "toolExecutionNotifications": [{"level": level, "message": _message(str(one))} for level, one in others],
    }
    driver = {"name": "reconciler", "version": __version__, "rules": list(_RULES)}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [invocation],
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _uri(problem: Problem, uri_of: Callable[[str], str | None]) -> str | None:
    return uri_of(problem.path) if problem.path else None


def _result(level: str, problem: Problem, uri: str) -> dict[str, Any]:
    region = {"startLine": problem.line, "startColumn": problem.column}
    location: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if problem.line is not None:
        location["region"] = {key: value for key, value in region.items() if value is not None}
    return {
        "ruleId": "problem" if level == "error" else "warning",
        "level": level,
        "message": _message(problem.text),
        "locations": [{"physicalLocation": location}],
    }


def _message(text: str) -> dict[str, str]:
    """A plain message: braces are doubled, as the format has it, and nothing in it is a link."""
    return {"text": inert(text).replace("{", "{{").replace("}", "}}").replace("](", "] (")}
