"""A fleet of any size as the bytes of API pages, and manifests for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

APPLICATION = "5f0c8a1b2d3e4f5061728394"
FLOWS = {"telemetry": "a" * 24, "alarms": "b" * 24, "control": "c" * 24}
PAGE = 1000
SITES = ("leeds", "york", "hull")


def device_id(number: int) -> str:
    """Scattered like real ids, the same in every run."""
    return sha256(str(number).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Bench:
    """`devices` devices with three flows at v1; the manifest moves `changed` per cent of the telemetry rows to v2."""

    devices: int
    changed: int
    style: str  # "group" | "device"

    @cached_property
    def ids(self) -> list[str]:
        """Device ids, ascending."""
        return sorted(device_id(number) for number in range(self.devices))

    @cached_property
    def moved(self) -> frozenset[str]:
        """The devices whose telemetry the manifest moves, by the same stable hash that `percent` uses."""
        return frozenset(one for one in self.ids if _kept("canary", one, self.changed))

    def manifest(self) -> str:
        """The manifest's text."""
        head = f"apiVersion: reconciler/v1\napplication: {APPLICATION}\n"
        if self.style == "device":
            return head + "devices:\n" + "".join(self._device(one) for one in self.ids)
        flows = ", ".join(f"{flow_id}: v1" for flow_id in FLOWS.values())
        text = head + f"groups:\n  everywhere:\n    select: {{tags: {{site: [{', '.join(SITES)}]}}}}\n"
        text += f"    flows: {{{flows}}}\n"
        if self.changed:
            text += f"  canary:\n    select: {{tags: {{site: [{', '.join(SITES)}]}}, percent: {self.changed}}}\n"
            text += f"    priority: 1\n    flows: {{{FLOWS['telemetry']}: v2}}\n"
        return text

    def _device(self, one: str) -> str:
        lines = [f"  {one}:\n"]
        for name, flow_id in FLOWS.items():
            version = "v2" if name == "telemetry" and one in self.moved else "v1"
            lines.append(f"    {flow_id}: {version}\n")
        return "".join(lines)

    def deployment_pages(self, *, released: bool = False, reported: bool = False) -> list[bytes]:
        """Pages of the deployment list: before the manifest was applied, or released, and perhaps reported too."""
        return _pages(
            [
                self._deployment(number, one, released="v2" if released else "v1", reported="v2" if reported else "v1")
                for number, one in enumerate(self.ids)
            ]
        )

    def device_pages(self) -> list[bytes]:
        """Pages of the device list."""
        return _pages([self._record(number, one) for number, one in enumerate(self.ids)])

    def _deployment(self, number: int, one: str, *, released: str, reported: str) -> dict[str, object]:
        return {
            "id": one,
            "embeddedDeploymentId": one,
            "applicationId": APPLICATION,
            "creationDate": "2026-03-02T09:14:07.120Z",
            "lastUpdated": "2026-03-09T16:40:55.003Z",
            "deviceId": one,
            "deviceName": f"pump-{number:06}",
            "deviceConnectionInfo": {"time": "2026-03-09T16:02:11.480Z", "connected": 1},
            "flows": {
                flow_id: {
                    "flowName": name,
                    "currentVersion": reported if name == "telemetry" and one in self.moved else "v1",
                    "desiredVersion": released if name == "telemetry" and one in self.moved else "v1",
                }
                for name, flow_id in FLOWS.items()
            },
            "currentBundleVersion": "1772442847",
            "desiredBundleVersion": "1772442847",
            "unknownBundle": False,
            "logs": [
                {
                    "sourceType": "device",
                    "sourceId": one,
                    "date": "2026-03-02T09:15:31.902Z",
                    "changeType": "current",
                    "updateType": "device",
                    "newBundle": "1772442847",
                }
            ],
            "_type": "embeddedDeployment",
        }

    def _record(self, number: int, one: str) -> dict[str, object]:
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
            "_type": "device",
        }


def _kept(salt: str, one: str, percent: int) -> bool:
    head = int.from_bytes(sha256(f"{salt}\0{one}".encode()).digest()[:8], "big")
    return head / 2**64 < percent / 100


def _pages(items: list[dict[str, object]]) -> list[bytes]:
    starts = range(0, max(len(items), 1), PAGE)
    return [_page(items[start : start + PAGE], number, len(items)) for number, start in enumerate(starts)]


def _page(items: list[dict[str, object]], number: int, total: int) -> bytes:
    envelope = {
        "items": items,
        "count": len(items),
        "totalCount": total,
        "perPage": PAGE,
        "page": number,
        "sortField": "id",
        "sortDirection": "asc",
        "applicationId": APPLICATION,
    }
    return json.dumps(envelope, separators=(",", ":")).encode()


def lay_out(bench: Bench, folder: Path) -> None:
    """Pages and manifest as files for the server, the floor and the command."""
    (folder / "fleet.yaml").write_text(bench.manifest())
    (folder / "moves").write_text(str(len(bench.moved)))
    listings = {
        "before": bench.deployment_pages(),
        "released": bench.deployment_pages(released=True),
        "reported": bench.deployment_pages(released=True, reported=True),
        "devices": bench.device_pages(),
    }
    for name, pages in listings.items():
        (folder / name).mkdir()
        for number, page in enumerate(pages):
            (folder / name / f"{number:06}").write_bytes(page)
