"""The few requests to GitHub's REST API that the steps make, with nothing but the standard library."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import job

BOT = "github-actions[bot]"  # who writes with a job's own token
_PER_PAGE = 100
_TIMEOUT_S = 30


class Repository:
    """The repository that the workflow runs for, as far as the job's token may read and write it."""

    def __init__(self) -> None:
        self._base = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}"
        self._token = os.environ["GITHUB_TOKEN"]

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request; the answer's JSON. Ends the step with a clear error if GitHub refuses."""
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
            hint = "; does the calling job grant the permissions that the guide lists?" if error.code == 403 else ""
            job.stop(f"GitHub answered {error.code} to {method} {path}{hint}")
        except (OSError, ValueError) as error:
            job.stop(f"no usable answer from GitHub to {method} {path}: {error}")

    def pages(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Every element of a listing."""
        number = 1
        while True:
            asked = urllib.parse.urlencode({**query, "per_page": _PER_PAGE, "page": number})
            page = self.send("GET", f"{path}?{asked}")
            yield from page
            if len(page) < _PER_PAGE:
                return
            number += 1
