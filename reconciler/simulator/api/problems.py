"""The errors of the API: a status and the envelope `{"type", "message"}`."""

from __future__ import annotations


class Problem(Exception):
    """A request that the API refuses. `type` is None for the one error whose envelope has a `code` instead."""

    def __init__(self, status: int, type_: str, message: str) -> None:
        self.status, self.type, self.message = status, type_, message
        super().__init__(f"{status} {type_}: {message}")


def invalid(message: str) -> Problem:
    """400, from the schemas and from the controllers alike."""
    return Problem(400, "Validation", message)


def not_found(thing: str) -> Problem:
    """404: `<thing> was not found`."""
    return Problem(404, "NotFound", f"{thing} was not found")
