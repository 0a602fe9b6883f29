"""The fleets that tests run commands on: a shop of six devices, and whatever an application is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reconciler.model.state import Kind
from reconciler.simulator import Server
from tests.support.cli import Bench

APPLICATION = "5f0c8a1b2d3e4f5061728394"


def fleet(kind: Kind = Kind.EMBEDDED) -> str:
    """The fleet file of a shop with flows and devices of one kind."""
    device = f"class: {kind.device_class}"
    return f"""
take_up_s: 0
applications:
  - id: {APPLICATION}
    name: shop
    flows:
      telemetry: {{class: {kind}, versions: [v1, v2, v3]}}
      alarms: {{class: {kind}, versions: [v1, v2]}}
      control: {{class: {kind}, versions: [v1, v2]}}
    devices:
      - count: 4
        name: "leeds-{{n}}"
        {device}
        tags: {{site: leeds}}
        deployed: {{telemetry: v1, alarms: v1, control: v1}}
      - {{count: 2, name: "york-{{n}}", {device}, tags: {{site: york}}, deployed: {{telemetry: v1}}}}
"""


FLEET = fleet()
HEAD = f"apiVersion: reconciler/v1\napplication: {{id: {APPLICATION}, name: shop}}\n"
# One change of each sort, and York is left alone: 4 updates, 4 adds or updates, 1 removal.
MANIFEST = f"""{HEAD}
groups:
  leeds: {{select: {{tags: {{site: leeds}}}}, flows: {{telemetry: v2, alarms: v2}}}}
devices:
  york-1: {{alarms: v1}}
  leeds-1: {{control: absent}}
limits: {{removals: {{percent: 50}}}}
"""


def of_kind(kind: Kind, manifest: str) -> str:
    """A manifest that says nothing of its kind, for that one."""
    return f"{manifest}kind: {kind}\n"


class Shop(Bench):
    """A shop on a simulator, and its manifest in `shop.yaml`."""

    def __init__(self, server: Server, folder: Path) -> None:
        super().__init__(server, folder)
        self.write("shop.yaml", MANIFEST)


def application(kind: str, devices: list[dict[str, Any]], flows: dict[str, list[str]], **more: Any) -> dict[str, Any]:
    """An application in which every flow and device is of one kind."""
    device_class = Kind(kind).device_class
    return {
        "id": APPLICATION,
        "name": "plant",
        "flows": {name: {"class": kind, "versions": versions} for name, versions in flows.items()},
        "devices": [{"class": device_class, **device} for device in devices],
        **more,
    }
