"""The few requests to GitHub's REST API that the steps make, with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn, TypeVar

import job

from reconciler.render.inert import inert

BOT = "github-actions[bot]"  # who writes with a job's own token
PAUSES_S = (1, 5, 20)
_PER_PAGE = 100
_TIMEOUT_S = 30
_PASSING = frozenset({429, 500, 502, 503, 504})

T = TypeVar("T")


class Unsettled(Exception):
    """GitHub gave no usable answer: nobody knows whether a write has happened."""


class Gone(Exception):
    """What was to be read or changed is no longer there; all issues are gone where they are switched off."""


def settled(act: Callable[[], T]) -> T:
    """Do what may be done again until GitHub answers; ends the step where it does not within some tries.

    A write that may be done again is one that looks first whether it was done.
    """
    for pause_s in PAUSES_S:
        try:
            return act()
        except Unsettled as error:
            print(f"{error}; again in {pause_s} s")
            time.sleep(pause_s)
    try:
        return act()
    except Unsettled as error:
        job.stop(str(error))


class Repository:
    """The repository that the workflow runs for, as far as the job's token may read and write it."""

    def __init__(self) -> None:
        self._base = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}"
        self._token = os.environ["GITHUB_TOKEN"]

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request; the answer's JSON. Ends the step with a clear error if GitHub refuses.

        Raises:
            Unsettled: on trouble that may pass.
            Gone: if there is nothing at that path any more.
        """
        request = urllib.request.Request(  # noqa: S310 - the URL is the runner's own
            f"{self._base}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            _judge(error, method, path)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unsettled(
                f"no usable answer from GitHub to {method} {path}: {inert(str(error), limit=200)}"
            ) from None

    def read(self, path: str) -> Any:
        """One GET, again as long as the trouble may pass."""
        return settled(partial(self.send, "GET", path))

    def pages(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Every element of a listing."""
        number = 1
        while True:
            asked = urllib.parse.urlencode({**query, "per_page": _PER_PAGE, "page": number})
            page = settled(partial(self._page, f"{path}?{asked}"))
            yield from page
            if len(page) < _PER_PAGE:
                return
            number += 1

    def _page(self, place: str) -> list[dict[str, Any]]:
        page = self.send("GET", place)
        if not isinstance(page, list):
            raise Unsettled(f"no usable answer from GitHub to GET {place}: it is no list")
        return page


def _judge(error: urllib.error.HTTPError, method: str, path: str) -> NoReturn:
    """What an error of GitHub means."""
    if error.code == 410 or (error.code == 404 and method == "PATCH"):
        raise Gone(path) from None
    said = f"GitHub answered {error.code} to {method} {path}"
    if error.code in _PASSING or (error.code == 403 and error.headers.get("Retry-After")):
        raise Unsettled(said) from None
    hint = "; does the calling job grant the permissions that the guide lists?" if error.code == 403 else ""
    job.stop(f"{said}{hint}")
