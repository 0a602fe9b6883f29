"""The mark of a commit whose apply ended, as a commit status. Its name is `against.mark_of`.

The job that has the fleet's token leaves a note of what it applied; another one, which may write to the forge, marks
it. A schedule that needs a review applies a commit that bears the mark: somebody has let it through before.

Others may write such marks, too: any workflow of a branch, or whoever has the token of the forge. So each bears a seal,
which only the token that may apply can make, and the apply of the schedule checks it.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from reconciler.ci.against import mark_of
from reconciler.ci.command import Application, git
from reconciler.ci.provider import Forge, Gone, Provider, settled
from reconciler.ci.related import read_from
from reconciler.ci.reports import read_page
from reconciler.errors import ExitCode, ReconcilerError, UsageError
from reconciler.model.text import ID_PATTERN
from reconciler.render.inert import inert

ENDED = frozenset({ExitCode.DONE, ExitCode.NOT_CONVERGED, ExitCode.NOT_CONFIRMED, ExitCode.ROLLOUT_STOPPED})
_PAUSE_S = 5
_COMMITS = 50  # that are asked for the mark, and the one that changed the manifests; each is a request at most
_NOTE = "applied.json"
_SEAL = re.compile("[0-9a-f]{32}")
_SEALED = re.compile(f"sealed ({_SEAL.pattern})")


@dataclass(frozen=True, slots=True)
class Applied:
    """How the apply of a commit ended, for one application and kind.

    Only one that ended has a `seal`, and where a review is required, only one that was shown.
    """

    application: Annotated[str, Field(pattern=f"^{ID_PATTERN}$")]
    kind: Annotated[str, Field(pattern="^(embedded|edge)$")]
    commit: Annotated[str, Field(pattern="^[0-9a-f]{40,64}$")]
    code: int
    seal: Annotated[str, Field(pattern="^([0-9a-f]{32})?$")] = ""

    def save(self, folder: Path) -> None:
        """Write the note into the folder of the result."""
        (folder / _NOTE).write_bytes(_DOCUMENT.dump_json(self))

    @property
    def description(self) -> str:
        """What the mark says."""
        return f"{self.ending}, sealed {self.seal}"

    @property
    def ending(self) -> str:
        """How it ended."""
        return f"apply ended with exit code {self.code}"


_DOCUMENT = TypeAdapter(Applied)


def step(provider: Provider, *, results: Path) -> int:
    """Mark the commits of all notes in the folder whose apply ended."""
    if not results.is_dir():
        hint = "collect what the jobs of `apply` left; where none left anything, make an empty folder"
        raise UsageError(f"there is no folder {inert(str(results))} with results", hint=hint)
    forge, url = provider.forge(), provider.run().url
    borne: dict[str, Mapping[str, str]] = {}
    for one in _notes(results):
        name = mark_of(one.application, one.kind)
        if one.code not in ENDED or not one.seal:
            provider.log(f"{one.commit} gets no {name}: {one.ending}")
            continue
        if one.commit not in borne:  # all applications are of one commit, as a rule
            borne[one.commit] = settled(partial(forge.marks, one.commit), provider.log)
        if borne[one.commit].get(name) != one.description:  # a commit has room for a thousand of one name
            _mark(provider, forge, one, name, url)
        provider.log(f"{one.commit} bears {name}: {one.ending}")
    return 0


def _mark(provider: Provider, forge: Forge, one: Applied, name: str, url: str) -> None:
    """Write a mark once, also where it is not known whether an earlier try wrote it."""
    tries = count()

    def write() -> None:
        if not next(tries) or forge.marks(one.commit).get(name) != one.description:
            forge.mark(one.commit, name, one.description, url)

    try:
        settled(write, provider.log)
    except Gone as error:
        raise ReconcilerError(f"there is nothing to mark any more: {error}", hint="run apply by hand") from None


def _notes(folder: Path) -> Iterator[Applied]:
    for file in sorted(folder.glob(f"*/{_NOTE}")):
        try:
            yield _DOCUMENT.validate_json(read_page(file))
        except ValueError:
            raise ReconcilerError(f"{file} is no note of an apply", hint="run the job again that writes it") from None


def seal_of(application: Application, commit: str) -> str:
    """What the mark of a commit bears, as only the token of the application can make it."""
    return application.token().seal(_sealed(application, commit))


def is_let_through(application: Application, seal: str) -> bool:
    """Whether a seal is that of the commit that is checked out, or of one with the same manifests."""
    if not _SEAL.fullmatch(seal):
        return False
    token = application.token()  # once: a command may give it
    return any(hmac.compare_digest(token.seal(_sealed(application, one)), seal) for one in _alike(application))


def _sealed(application: Application, commit: str) -> str:
    return f"{mark_of(application.id, application.kind)} {commit} {application.path}"


def look(provider: Provider, *, application: Application, wait: int) -> int:
    """Output the `seal` of the mark that the commit bears which is checked out; without a mark, an empty one.

    It bears that of a commit since which none of the manifests changed: a push that touches none starts no apply.
    `wait`: for so many seconds the mark may be on its way, after the apply that this one waited for.
    """
    name, forge, commits = mark_of(application.id, application.kind), provider.forge(), _alike(application)
    seal = _borne(forge, commits, name)
    for _ in range(wait // _PAUSE_S):
        if seal:
            break
        time.sleep(_PAUSE_S)
        seal = _borne(forge, dict.fromkeys((commits[0], commits[-1])), name)
    provider.output("seal", seal)
    provider.log(f"{commits[0]} {'bears' if seal else 'does not bear'} {name}")
    return 0


def marked(forge: Forge, application: Application) -> str:
    """The seal of the mark that the commit bears which is checked out; without a mark, an empty one."""
    return _borne(forge, _alike(application), mark_of(application.id, application.kind))


def _borne(forge: Forge, commits: Iterable[str], name: str) -> str:
    """The seal on the first of the commits that bears such a mark, or nothing."""
    seals = (_SEALED.search(forge.marks(one).get(name, "")) for one in commits)
    return next((match[1] for match in seals if match), "")


def _alike(application: Application) -> Sequence[str]:
    """The commit that is checked out, and those before it with the same manifests, newest first."""
    paths = read_from(application.path)
    listing = ("rev-list", "--first-parent")
    newest = git("--literal-pathspecs", *listing, "--max-count=1", "HEAD", "--", *paths)
    commits = git(*listing, f"--max-count={_COMMITS}", "HEAD").splitlines()
    return commits[: commits.index(newest) + 1] if newest in commits else [*commits, newest] if newest else commits[:1]
