"""Checks beyond the models of a fleet: unknown names, duplicate ids and names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import TypeAlias

from reconciler.simulator.world.fleet import Application, Device, Fleet, Version
from reconciler.simulator.world.records import Kind

Place: TypeAlias = tuple[str | int, ...]
Finding: TypeAlias = tuple[Place, str]

_BRACES = re.compile(r"\{(?!n(:0?\d*)?\})")


def check_fleet(fleet: Fleet) -> Iterator[Finding]:
    """Every problem that the models do not find, in the order of the fleet."""
    applications: list[tuple[Place, Application]] = [
        (("applications", index), one) for index, one in enumerate(fleet.applications)
    ]
    owners: list[tuple[Place, Fleet | Application]] = [((), fleet), *applications]
    yield from _repeated([(at, one.object_id) for at, one in applications], "id")
    if not applications:
        yield ("applications",), "a fleet needs at least one application"
    tokens = [((*at, "tokens", i, "text"), one.text) for at, own in owners for i, one in enumerate(own.tokens)]
    yield from _repeated(tokens, "token")
    for at, application in applications:
        yield from (((*at, *place), text) for place, text in _check_application(application))


def _repeated(found: Iterable[tuple[Place, str]], what: str) -> Iterator[Finding]:
    first: dict[str, Place] = {}
    for place, key in found:
        if key in first:
            # The text of a token is omitted: the message may end up in a log.
            name = "" if what == "token" else f" {key}"
            yield place, f"the {what}{name} is already used at {spell(first[key])}: use another {what}"
        first.setdefault(key, place)


def _check_application(application: Application) -> Iterator[Finding]:
    flows = application.flows
    yield from _repeated([(("flows", i), application.flow_id(flow)) for i, flow in enumerate(flows)], "id")
    for index, flow in enumerate(flows):
        place: Place = ("flows", index, "versions")
        yield from _repeated([(place, name) for name in (*flow.versions, *flow.deleted)], "version")
    first: dict[str, int] = {}
    for index, device in enumerate(application.devices):
        at: Place = ("devices", index)
        for place, text in (*_check_name(device), *_check_flows(application, device)):
            yield (*at, *place), text
        for name in device.named():
            taken = first.setdefault(application.device_id(name, device), index)
            if taken != index:
                yield at, f'"{name}" is already a device at devices[{taken}]: use another name, or ids'
                break


def _check_name(device: Device) -> Iterator[Finding]:
    if _BRACES.search(device.name) and device.is_counted:
        yield ("name",), "only {n} and {n:04} are allowed in braces"
    elif device.count > 1 and not device.is_counted:
        yield ("name",), f"{device.count} devices need {{n}} in their name"
    if device.count > 1 and device.id:
        yield ("id",), f"{device.count} devices cannot have the same id"


def _check_flows(application: Application, device: Device) -> Iterator[Finding]:
    for reference, deployed in device.deployed.items():
        used = [version for version in (deployed.released, deployed.reported) if version is not None]
        yield from _check_use(application, device, ("deployed", reference), used)
        if not used:
            yield ("deployed", reference), "neither released nor reported: remove the flow"
    first: dict[tuple[str, Version], str] = {}
    for key, reference, version, _ in device.outcomes():
        yield from _check_use(application, device, (key, reference), [version])
        taken = first.setdefault((reference, version), key)
        if taken != key:
            yield (key, reference), f"{version} is already in `{taken}`: only one thing can become of it"
    if device.unknown_bundle and device.device_class != "embedded":
        yield ("unknown_bundle",), f"a device of class {device.device_class} has no bundle"


def _check_use(
    application: Application, device: Device, place: Place, versions: Iterable[Version]
) -> Iterator[Finding]:
    reference = str(place[-1])
    match application.flows_by_reference.get(reference, []):
        case []:
            near = _nearest(reference, application.flows_by_reference)
            yield place, f'there is no flow "{reference}"{near}'
        case [flow]:
            kind = Kind.of_class(device.device_class)
            if kind is None or flow.flow_class not in kind.flow_classes:
                refused = f"cannot be deployed to a device of class {device.device_class}"
                yield place, f'"{flow.name}" ({flow.flow_class}) {refused}'
            for version in versions:
                known = (*flow.versions, *flow.deleted)
                if version not in known:
                    yield place, f'flow "{flow.name}" has no version {version}{_nearest(version, known)}'
        case several:
            yield place, f'{len(several)} flows are named "{reference}": use an id'


def _nearest(wanted: str, known: Iterable[str]) -> str:
    near = get_close_matches(wanted, list(known), n=1)
    return f" (nearest: {near[0]})" if near else ""


def spell(place: Place) -> str:
    """`applications[0].devices[3].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".") or "fleet"
