"""Import: a manifest of the live state, whose plan is empty."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.errors import PermissionDenied
from reconciler.manifest.importing.importer import write_manifest
from reconciler.model.state import Application, Kind
from reconciler.operations.gateway import Gateway
from reconciler.runtime import gc_paused


class Imported(NamedTuple):
    """The text of a manifest, and what it could not express, each with its count.

    `grouped`: the token could read devices, so there are groups but no deleted devices.
    """

    text: str
    grouped: bool
    not_written: tuple[str, ...] = ()


async def import_(application_id: str, kind: Kind, gateway: Gateway, *, group_by: str = "auto") -> Imported:
    """Read an application and write its manifest; `group_by` is `auto`, `none` or `tag:KEY`.

    Raises:
        ApiError, IncompleteRead: reading failed. Missing optional scopes are not an error.
    """
    async with gateway.open() as api_of:
        api = api_of(application_id, kind)
        live = (await api.live()).live
        try:
            devices = {device.id: device for device in await api.devices()}
        except PermissionDenied:
            devices = None
        try:
            application = await api.application()
        except PermissionDenied:
            application = Application(application_id)
    with gc_paused():
        written = write_manifest(live, devices, application=application, kind=kind, group_by=group_by)
    return Imported(written.text, devices is not None, written.not_written)
