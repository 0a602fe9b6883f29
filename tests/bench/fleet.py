"""A fleet of any size as the records of the API, in several shapes, and manifests for it."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

APPLICATION = "5f0c8a1b2d3e4f5061728394"
FLOWS = {"telemetry": "a" * 24, "alarms": "b" * 24, "control": "c" * 24}
SITES = ("leeds", "york", "hull")
LOGGED = "2026-03-02"  # the day of the logs
LISTINGS = ("before", "released", "reported", "devices")

Record = dict[str, Any]


def device_id(number: int) -> str:
    """Scattered like real ids, the same in every run; none that YAML takes for a number."""
    return f"{sha256(str(number).encode()).hexdigest()[:23]}f"


def _logs(one: str, number: int) -> list[Record]:
    """As many lines as a device has that was released to often."""
    line = {"sourceType": "user", "sourceId": APPLICATION, "date": f"{LOGGED}T09:15:31.902Z", "changeType": "desired"}
    line |= {
        "updateType": "newFlow",
        "updateFlowId": FLOWS["telemetry"],
        "desiredVersion": "v1",
        "flowName": "telemetry",
    }
    seen = {"sourceType": "device", "sourceId": one, "date": f"{LOGGED}T09:15:31.902Z", "changeType": "current"}
    seen |= {"updateType": "device", "newBundle": "1772442847", "oldBundle": "1772442846"}
    return [line | {"date": f"{LOGGED}T09:{minute:02}:31.902Z"} if minute % 2 else seen for minute in range(number)]


# What the records have beside what is needed: by the vendor's schema, by its clients, and fields that nobody knows yet.
SHAPES: dict[str, Callable[[Record, int], Record]] = {
    "plain": lambda record, _: record,
    "links": lambda record, _: {
        **record,
        "_type": "item",
        "_etag": f'"{record["id"]}"',
        "_links": {
            name: {"href": f"/applications/{APPLICATION}/{name}/{record['id']}", "templated": False}
            for name in ("self", "application", "device", "flows")
        },
    },
    "logs": lambda record, number: (
        {**record, "logs": _logs(record["id"], number % 25)} if "flows" in record else record
    ),
    "unknown": lambda record, number: {
        **record,
        "_type": "item",
        "health": {"battery": {"percent": number % 101, "cells": [3.7, 3.71, None]}, "signal": {"rssi": -71}},
        "attributes": [{"name": name, "dataType": "number", "system": {}} for name in ("flow", "temp", "rpm")],
        "note": "Prüfstand 7, “Süd”",
    },
}


@dataclass(frozen=True)
class Bench:
    """`devices` devices with three flows at v1; the manifest moves all rows of `changed` per cent of them to v2."""

    devices: int
    changed: int = 100
    style: str = "group"  # | "device"
    shape: str = "plain"

    @cached_property
    def ids(self) -> list[str]:
        """Device ids, ascending."""
        return sorted(device_id(number) for number in range(self.devices))

    @cached_property
    def moved(self) -> frozenset[str]:
        """The devices that the manifest moves, by the same stable hash that `percent` uses."""
        return frozenset(one for one in self.ids if _kept("canary", one, self.changed))

    def manifest(self) -> str:
        """The manifest's text."""
        head = f"apiVersion: reconciler/v1\napplication: {APPLICATION}\n"
        if self.style == "device":
            lines = {
                version: "".join(f"    {flow}: {version}\n" for flow in FLOWS.values()) for version in ("v1", "v2")
            }
            return f"{head}devices:\n" + "".join(
                f"  {one}:\n{lines['v2' if one in self.moved else 'v1']}" for one in self.ids
            )
        select, version = f"tags: {{site: [{', '.join(SITES)}]}}", "v2" if self.changed == 100 else "v1"
        text = f"{head}groups:\n  everywhere: {{select: {{{select}}}, flows: {{{_all_at(version)}}}}}\n"
        if 0 < self.changed < 100:
            select += f", percent: {self.changed}"
            text += f"  canary: {{select: {{{select}}}, priority: 1, flows: {{{_all_at('v2')}}}}}\n"
        return text

    def records(self, listing: str) -> Iterable[Record]:
        """The records of a listing: the deployments before an apply, once released and once reported; the devices."""
        shaped = SHAPES[self.shape]
        if listing == "devices":
            return (shaped(_device(one, number), number) for number, one in enumerate(self.ids))
        released = "v1" if listing == "before" else "v2"
        reported = "v2" if listing == "reported" else "v1"
        return (
            shaped(_deployment(one, number, *((released, reported) if one in self.moved else ("v1", "v1"))), number)
            for number, one in enumerate(self.ids)
        )


def _all_at(version: str) -> str:
    return ", ".join(f"{flow_id}: {version}" for flow_id in FLOWS.values())


def _kept(salt: str, one: str, percent: int) -> bool:
    head = int.from_bytes(sha256(f"{salt}\0{one}".encode()).digest()[:8], "big")
    return head / 2**64 < percent / 100


def _deployment(one: str, number: int, released: str, reported: str) -> Record:
    versions = {"currentVersion": reported, "desiredVersion": released}
    return {
        "id": one,
        "embeddedDeploymentId": one,
        "applicationId": APPLICATION,
        "creationDate": "2026-03-02T09:14:07.120Z",
        "lastUpdated": "2026-03-09T16:40:55.003Z",
        "deviceId": one,
        "deviceName": f"pump-{number:06}",
        "deviceConnectionInfo": {"time": "2026-03-09T16:02:11.480Z", "connected": 1},
        "flows": {flow_id: {"flowName": name, **versions} for name, flow_id in FLOWS.items()},
        "currentBundleVersion": "1772442847",
        "desiredBundleVersion": "1772442847",
        "unknownBundle": False,
        "logs": _logs(one, 2),
    }


def _device(one: str, number: int) -> Record:
    return {
        "id": one,
        "deviceId": one,
        "applicationId": APPLICATION,
        "name": f"pump-{number:06}",
        "deviceClass": "embedded",
        "tags": [{"key": "site", "value": SITES[number % len(SITES)]}],
        "creationDate": "2026-03-02T09:14:07.120Z",
        "lastUpdated": "2026-03-09T16:40:55.003Z",
        "connectionInfo": {"time": "2026-03-09T16:02:11.480Z", "connected": 1},
    }


def lay_out(bench: Bench, folder: Path, listings: Iterable[str] = ("before", "devices")) -> None:
    """The manifest, and of each listing a file of records with one of their offsets, for the server."""
    (folder / "fleet.yaml").write_text(bench.manifest())
    (folder / "moves").write_text(str(len(bench.moved) * len(FLOWS)))
    for listing in listings:
        offsets = array("Q", [0])
        with (folder / listing).open("wb") as file:
            for record in bench.records(listing):
                file.write(json.dumps(record, separators=(",", ":")).encode() + b",")
                offsets.append(file.tell())
        (folder / f"{listing}.offsets").write_bytes(offsets.tobytes())


def in_waves(manifest: str) -> str:
    """A manifest of the style `group`, with a policy for its group."""
    policy = (
        "rollouts: {careful: {waves: [{percent: 1}, {percent: 10}, {percent: 40}], gate: {soak: 24h, sample: 3}}}\n"
    )
    return manifest.replace("groups:\n", f"{policy}groups:\n").replace("{select:", "{rollout: careful, select:")
