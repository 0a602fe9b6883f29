"""Reads saved plans, results and statuses from files, checked, since anybody may have edited them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict, cast, get_args

from reconciler.documents.derived import EDITED, derived
from reconciler.documents.json import FORMAT_VERSION, RepeatedKey, load
from reconciler.documents.plan import CallPart, ChangePart, LeavingPart, PendingPart, PlanDocument, PlanPart, guards_key
from reconciler.documents.reading import Misshapen, checked, headed, reported, wrong
from reconciler.documents.result import SAVING, Ended, read_results
from reconciler.documents.status import Stood, read_status
from reconciler.errors import UsageError
from reconciler.files import TooLarge, read_bounded
from reconciler.model.changes import Change, LeavingRow, PendingRow
from reconciler.model.digest import Digests, digests
from reconciler.model.plan import Guards, Plan, PlannedCall
from reconciler.model.requests import Action, Release, RemoveDevice, RemoveFlow, RemoveRow, Replace, Request
from reconciler.model.state import DeviceId, FlowId, Place, Row
from reconciler.model.text import encoding_of

MAX_BYTES = 512 * 1024 * 1024  # several times a plan that changes three flows on each of 100,000 devices
_HINT = "make the plan again with `reconciler plan --out FILE`"


def load_plans(path: str) -> tuple[Plan, ...]:
    """The plans of a saved file, to be carried out: of exactly this format version, without unknown keys."""
    return read_plans(_read(path), path=path)


def load_saved(path: str) -> tuple[Plan, ...] | Ended | Stood:
    """The plans, results or status of a saved file, to be displayed."""
    data = _read(path)
    if isinstance(data, dict) and "results" in data:
        return read_results(data, path=path, later=True)
    if isinstance(data, dict) and "status" in data:
        return read_status(data, path=path, later=True)
    return read_plans(data, path=path, later=True)


def load_results(path: str) -> Ended:
    """The results of a saved file, to be displayed."""
    return read_results(_read(path), path=path, later=True)


def read_document(data: object) -> PlanDocument:
    """What `plan --format json` wrote, to be displayed; also if it could not plan."""
    with reported(None, _HINT):
        return checked(PlanDocument, headed(data, later=True), later=True)


def _read(path: str) -> object:
    try:
        data = read_bounded(path, MAX_BYTES)
        return load(data.decode(encoding_of(data)))
    except TooLarge as error:
        reason = f"{path} is neither a plan nor a result: it is {error}"
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror or error}"
    except RepeatedKey:
        reason = f"{path} has a duplicate key in an object: the file was edited or damaged"
    except (UnicodeDecodeError, ValueError, RecursionError):
        reason = f"{path} is neither a plan nor a result: it is not JSON"
    raise UsageError(reason, hint=SAVING)


def read_plans(data: object, *, path: str | None = None, later: bool = False) -> tuple[Plan, ...]:
    """The plans of a saved document; `path` is its file.

    `later` allows later minor versions of the format, whose unknown keys are ignored.

    Raises:
        ManifestError: not such a document, of an unsupported format, damaged, or with edited changes.
    """
    with reported(path, _HINT):
        head = headed(data, later=later)
        if head.get("error") is not None:
            raise Misshapen("the document reports an error, not a plan")
        newer = isinstance(data, dict) and data["format_version"] != FORMAT_VERSION
        return _plans(checked(PlanDocument, head, later=later), later=later, newer=newer)


def _plans(document: PlanDocument, *, later: bool, newer: bool) -> tuple[Plan, ...]:
    """`newer`: of a later version, whose reviews may cover more than is known here."""
    for key in ("digest", "review_digest", "guards"):
        if document.get(key) is None:
            raise wrong("is missing", key)
    locks = document.get("locks") or {}
    judged_by = {key: one._replace(lock=locks.get(key)) for key, one in (document.get("guards") or {}).items()}
    read = [_plan(part, judged_by, number, later=later) for number, part in enumerate(document["plans"])]
    plans = tuple(plan for plan, _ in read)
    seen = [(plan.application.id, plan.kind) for plan in plans]
    if len(set(seen)) < len(seen):
        raise Misshapen("plans has two entries for one application and kind")
    actual = read[0][1] if len(read) == 1 else digests(plans)
    _check_digest(document.get("digest"), actual.changes, "digest")
    if not newer:
        _check_digest(document.get("review_digest"), actual.review, "review_digest", of="changes and guards")
    return plans


def _check_digest(stated: str | None, actual: str, *at: str | int, of: str = "changes") -> None:
    if stated != actual:
        raise wrong(f"is {stated}, but the digest of the {of} is {actual}: {EDITED}", *at)


def _plan(part: PlanPart, judged_by: Mapping[str, Guards], number: int, *, later: bool) -> tuple[Plan, Digests]:
    at = ("plans", number)
    changes = tuple(_change(item, *at, "changes", place) for place, item in enumerate(part.changes))
    rows = [change.row for change in changes]
    if rows != sorted(set(rows)):
        raise wrong("must be sorted by device and flow, each row once", *at, "changes")
    carried: dict[int | None, list[Row]] = {}
    for row, item in zip(rows, part.changes, strict=True):
        carried.setdefault(item["call"], []).append(row)
    key = guards_key(part.application.id, part.kind)
    if key not in judged_by:
        raise wrong("is missing", "guards", key)
    named = [*part.changes, *part.pending, *(part.leaving or ())]
    deleted = {one.device_id: one.device_name for one in part.deleted_devices if one.device_name}
    plan = Plan(
        application=part.application,
        kind=part.kind,
        manifests=part.manifests,
        partial=part.partial,
        summary=part.summary,
        changes=changes,
        calls=tuple(
            _call(call, carried.get(call.id, ()), *at, "calls", place, later=later)
            for place, call in enumerate(part.calls)
        ),
        pending=tuple(map(_pending, part.pending)),
        unmanaged=part.unmanaged,
        warnings=part.warnings,
        guards=judged_by[key],
        refused=part.refused,
        device_names={**deleted, **{one["device_id"]: name for one in named if (name := one["device_name"])}},
        flow_names={item["flow_id"]: name for item in named if (name := item["flow_name"])},
        deleted_devices=part.deleted_devices,
        leaving=None if part.leaving is None else tuple(map(_leaving, part.leaving)),
    )
    actual = digests([plan])
    _check_digest(part.digest, actual.changes, *at, "digest")
    return derived(plan, *at), actual


def _change(item: ChangePart, *at: str | int) -> Change:
    path, _, line = item["source"].rpartition(":")
    source = Place(path, int(line))
    change = Change(item["device_id"], item["flow_id"], item["from"], item["to"], item["reported"], source)
    if change.from_version == change.to_version:
        raise wrong("is the same as `from`", *at, "to")
    if change.op is not item["op"]:
        raise wrong(f"must be {change.op}, according to its `from` and `to`", *at, "op")
    return change


def _pending(item: PendingPart) -> PendingRow:
    reported, connected = item["reported"], item["connected"]
    return PendingRow(item["device_id"], item["flow_id"], item["released"], reported, connected, item["last_error"])


def _leaving(item: LeavingPart) -> LeavingRow:
    path, _, line = item["source"].rpartition(":")
    place = Place(path, int(line))
    return LeavingRow(item["device_id"], item["flow_id"], item["version"], item["released"], item["group"], place)


class _RemoveBody(TypedDict):
    """The request body of a removal: null means every flow, or every device."""

    flowId: FlowId | None
    deviceId: DeviceId | None


def _call(call: CallPart, rows: Sequence[Row], *at: str | int, later: bool) -> PlannedCall:
    if call.count != len(rows):
        raise wrong(f"must be {len(rows)}, the number of changes with this call", *at, "count")
    return PlannedCall(call.id, _request(call, *at, "body", later=later), tuple(rows), call.after)


def _request(call: CallPart, *at: str | int, later: bool) -> Request:
    if call.action not in get_args(Action):
        return cast("Request", call)  # of a later version: shown, never sent
    match call.action:
        case "release":
            return checked(Release, call.body, *at, later=later)
        case "replace":
            return checked(Replace, call.body, *at, later=later)
        case "remove":
            body = checked(_RemoveBody, call.body, *at, later=later)
            flow_id, device_id = body["flowId"], body["deviceId"]
    if flow_id is not None:
        return RemoveFlow(flow_id) if device_id is None else RemoveRow(flow_id, device_id)
    if device_id is None:
        raise wrong("must not be null if flowId is null", *at, "deviceId")
    return RemoveDevice(device_id)
