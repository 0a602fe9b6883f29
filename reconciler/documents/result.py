"""What came of a plan, as `apply` and `show` write it, and back from a saved document, checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from reconciler.documents.json import Document, document, error_data
from reconciler.documents.reading import checked, headed, reported, wrong
from reconciler.errors import ExitCode, Problem
from reconciler.model.result import Result

SAVING = "save a plan with `plan --out`, a result with `apply --result`"
_OUTCOMES = {
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.NOT_CONFIRMED: "some call is not confirmed; see results",
    ExitCode.NOT_CONVERGED: "not every device runs what it should; see results",
}


class ResultDocument(Document):
    """What `apply` writes, and `show` of a saved result."""

    command: Literal["apply", "show"]
    results: tuple[Result, ...]


class Ended(NamedTuple):
    """The results of a run, and how that ended."""

    results: tuple[Result, ...]
    code: ExitCode
    problems: tuple[Problem, ...]

    @property
    def unexplained(self) -> tuple[Problem, ...]:
        """The problems that do not show in the results themselves."""
        return self.problems if self.code in (ExitCode.ERROR, ExitCode.REFUSED, ExitCode.STALE) else ()


def result_document(
    results: Iterable[Result], command: Literal["apply", "show"], *, code: ExitCode, problems: Iterable[Problem] = ()
) -> dict[str, Any]:
    """The JSON document of an apply. `error` is null when it ended with 0."""
    error = error_data(code, tuple(problems) or (Problem(_OUTCOMES.get(code, "failed")),)) if code else None
    return document(command, error=error, results=tuple(results))


def read_results(data: object, *, path: str | None = None, later: bool = False) -> Ended:
    """The results of a saved document, `path` being the file it came from.

    With `later` it may be of a later minor version of the format, and what is not known of it is left out.

    Raises:
        ManifestError: not such a document, of another format, or damaged.
    """
    with reported(path, SAVING):
        head = headed(data, later=later)
        document = checked(ResultDocument, head, later=later)
        for number, (part, made) in enumerate(zip(head["results"], document["results"], strict=True)):
            if part["exit_code"] != made.exit_code:
                raise wrong(f"must be {made.exit_code:d}, by what became of the calls", "results", number, "exit_code")
    error = document["error"]
    code, problems = (ExitCode(error.code), error.problems) if error else (ExitCode.DONE, ())
    return Ended(document["results"], code, problems)
