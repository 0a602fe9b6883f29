"""The document of an apply's results: written by `apply` and `show`, and read back from a saved file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from reconciler.documents.json import Document, document, error_data
from reconciler.documents.reading import checked, headed, reported, wrong
from reconciler.errors import ExitCode, Problem
from reconciler.model.result import CallState, Result

SAVING = "save a plan with `plan --out`, a result with `apply --result`, a status with `status --format json`"
_OUTCOMES: Mapping[int, str] = {
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.NOT_CONFIRMED: "at least one call is not confirmed; see results",
    ExitCode.NOT_CONVERGED: "not every device runs what it should; see results",
}


class ResultDocument(Document):
    """The output of `apply`, and of `show` for a saved result."""

    command: Literal["apply", "show"]
    results: tuple[Result, ...]


class Ended(NamedTuple):
    """The results of a run, and how it ended."""

    results: tuple[Result, ...]
    code: int  # an `ExitCode`, or one of a later version
    problems: tuple[Problem, ...]

    @property
    def unexplained(self) -> tuple[Problem, ...]:
        """The problems that the results themselves do not show."""
        return self.problems if self.code in (ExitCode.ERROR, ExitCode.REFUSED, ExitCode.STALE) else ()


def result_document(
    results: Iterable[Result], command: Literal["apply", "show"], *, code: int, problems: Iterable[Problem] = ()
) -> dict[str, Any]:
    """The JSON document of an apply. `error` is null if it exited with 0."""
    error = error_data(code, tuple(problems) or (Problem(_OUTCOMES.get(code, "failed")),)) if code else None
    return document(command, error=error, results=tuple(results))


def read_results(data: object, *, path: str | None = None, later: bool = False) -> Ended:
    """The results of a saved document; `path` is its file.

    `later` allows later minor versions of the format, whose unknown keys are ignored.

    Raises:
        ManifestError: not such a document, of an unsupported format, or damaged.
    """
    with reported(path, SAVING):
        head = headed(data, later=later)
        document = checked(ResultDocument, head, later=later)
        for number, (part, made) in enumerate(zip(head["results"], document["results"], strict=True)):
            known = all(isinstance(call.state, CallState) for call in made.calls)
            if known and made.exit_code != part["exit_code"] in list(ExitCode):
                raise wrong(f"must be {made.exit_code:d}, according to the calls", "results", number, "exit_code")
    error = document["error"]
    code, problems = (error.code, error.problems) if error else (ExitCode.DONE, ())
    return Ended(document["results"], code, problems)
