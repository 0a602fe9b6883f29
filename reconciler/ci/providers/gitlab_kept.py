"""Whether a project of GitLab keeps the tokens of the pipeline apart, and from merge requests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from reconciler.api.http.credentials import VARIABLE
from reconciler.ci.providers.gitlab import FORGE_TOKEN, MARK_TOKEN, MINIMUM_ROLE
from reconciler.ci.providers.gitlab_child import FLEET, FORGE
from reconciler.ci.providers.rest import Data, Rest
from reconciler.errors import ReconcilerError
from reconciler.operations.init.check import KEPT_APART, Finding, why_of

_ALLOWED = {FORGE_TOKEN: (FORGE,), MARK_TOKEN: (FORGE,)}
_PLANS = f"{FLEET}*"  # of two variables with one name a job of the fleet gets the one of the exact environment
_FROM_MERGE_REQUESTS = "protected variables are kept from merge requests"
_BY_HAND = "a pipeline by hand may get variables"
_ABOVE = "variables of groups and of the instance"
_UNSEEN = f"a project does not show them; see that none of them is named {VARIABLE} or {FORGE_TOKEN}"
_ROLES = ("developer", "maintainer", "owner")
_SETTING = (
    'turn "Allow merge request pipelines to access protected variables and runners" off'
    " (Settings > CI/CD > Variables): it gives the token that may write to requests between protected branches"
)


def settings(rest: Rest, project: str, applications: Collection[str]) -> Sequence[Finding]:
    """What the project tells. `rest`: with a Maintainer's token, to whom alone it tells all."""

    def kept() -> Finding:
        wrong = tuple(misplaced([*rest.pages("variables")], applications))
        return Finding(KEPT_APART, right=not wrong, why="; ".join(wrong))

    def from_merge_requests() -> Finding:
        given = rest.read(project, dict).get("protect_merge_request_pipelines")
        why = f"this token, or this version of GitLab, does not tell; {_SETTING}" if given is None else _SETTING
        return Finding(_FROM_MERGE_REQUESTS, None if given is None else not given, "" if given is False else why)

    def by_hand() -> Finding:
        role = rest.read(project, dict).get("ci_pipeline_variables_minimum_override_role")
        why = f"an apply by hand needs one; see {MINIMUM_ROLE}"
        return Finding(_BY_HAND, None if role is None else role != "no_one_allowed", "" if role in _ROLES else why)

    looks = {KEPT_APART: kept, _FROM_MERGE_REQUESTS: from_merge_requests, _BY_HAND: by_hand}
    return [*(_told(what, look) for what, look in looks.items()), Finding(_ABOVE, right=None, why=_UNSEEN)]


def _told(what: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except ReconcilerError as error:
        return Finding(what, right=None, why=why_of(error))


def misplaced(variables: Sequence[Data], applications: Collection[str]) -> Iterator[str]:
    """What is wrong: a job that lacks its token, or gets one that it should not have."""
    for one in variables:
        if one["key"].startswith((VARIABLE, *_ALLOWED)):
            yield from _wrong(one)
    for key in _ALLOWED:
        if not _of(variables, key):
            yield f"no variable {key}"
    for application in applications or ("",):
        yield from _missing(variables, application)


def _wrong(variable: Data) -> Iterator[str]:
    key, scope = variable["key"], variable["environment_scope"]
    name = f"{key} of {scope}"
    if key not in (*_ALLOWED, VARIABLE) and not key.startswith(f"{VARIABLE}_"):
        yield f"{key} is read by no job"
    elif scope not in _ALLOWED.get(key, (FLEET, _PLANS)):
        yield f"{name} is to be of {FORGE if key in _ALLOWED else FLEET}"
    elif (scope == FLEET or key == MARK_TOKEN) and not variable["protected"]:
        yield f"{name} is not protected: whoever may push a branch can print it"
    elif (scope == _PLANS or key == FORGE_TOKEN) and variable["protected"]:
        yield f"{name} is protected: merge requests do not get it"
    if variable.get("variable_type") == "file":
        yield f"{name} is of the type File: its value would be the name of a file"
    if not variable["masked"]:
        yield f"{name} is not masked: logs can show it"


def _missing(variables: Sequence[Data], application: str) -> Iterator[str]:
    """What an application lacks. Its own variable goes before the one that all share, whatever its environment is."""
    own = f"{VARIABLE}_{application}" if application else VARIABLE
    there = _of(variables, own) or _of(variables, VARIABLE)
    about = f" for {application}" if application else ""
    if not there:
        yield f"no variable {own if application else VARIABLE}" + (f" or {VARIABLE}" if application else "")
        return
    key, scopes = there[0]["key"], [one["environment_scope"] for one in there]
    if FLEET not in scopes:
        yield f"no {key} of {FLEET}, protected{about}: applies have no token of their own"
    if _PLANS not in scopes:
        yield f"no {key} of {_PLANS}, for reading alone{about}: merge requests have no token"


def _of(variables: Sequence[Data], key: str) -> list[Data]:
    return [one for one in variables if one["key"].lower() == key.lower()]
