"""The refusals of the API: a status and the envelope `{"type", "message"}`."""

from __future__ import annotations


class Problem(Exception):
    """A request that the API refuses."""

    def __init__(self, status: int, type_: str, message: str) -> None:
        self.status, self.type, self.message = status, type_, message
        super().__init__(f"{status} {type_}: {message}")

    @property
    def envelope(self) -> dict[str, str]:
        """The body of the answer; a request that is not JSON is refused with a `code` where others have a `type`."""
        return {"code" if self.type == "InvalidContent" else "type": self.type, "message": self.message}


def invalid(message: str) -> Problem:
    """400, from the schemas and from the controllers alike."""
    return Problem(400, "Validation", message)


def not_found(thing: str) -> Problem:
    """404: `<thing> was not found`."""
    return Problem(404, "NotFound", f"{thing} was not found")


def unauthorized(message: str = "Invalid access token") -> Problem:
    """401, a token that is unknown or too old."""
    return Problem(401, "Unauthorized", message)


def forbidden() -> Problem:
    """403, the framework's default message."""
    return Problem(403, "Forbidden", "Access is forbidden")
