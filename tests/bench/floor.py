"""What a plan costs at least: fetch the same pages, parse them, load the same YAML, compare two dicts.

`python floor.py URL MANIFEST FETCHED` prints the number of rows that differ; FETCHED has a line for each page that the
plan requested. It keeps of a page no more than it needs. No checks, no
positions, no order, no output.
"""

import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml

url, path, fetched = sys.argv[1:]
with open(path, encoding="utf-8") as file:  # noqa: PTH123 - the cheapest way
    manifest = yaml.load(file, Loader=yaml.CSafeLoader)
client = httpx.Client(base_url=url, verify=False)
with open(fetched, encoding="utf-8") as file:  # noqa: PTH123
    targets = file.read().split()


def items(kind: str) -> Iterator[dict[str, Any]]:
    for target in targets:
        if urlsplit(target).path.endswith(kind):
            yield from json.loads(client.get(target).content)["items"]


def kept(group: str, device: str, percent: float) -> bool:
    return int.from_bytes(sha256(f"{group}\0{device}".encode()).digest()[:8], "big") / 2**64 < percent / 100


live = {
    item["id"]: {flow: entry["desiredVersion"] for flow, entry in item["flows"].items()}
    for item in items("deployments")
}
tags = {item["id"]: {tag["key"]: tag["value"] for tag in item["tags"]} for item in items("devices")}
any(items("versions"))
desired = {device: dict(flows) for device, flows in manifest.get("devices", {}).items()}
if groups := manifest.get("groups"):
    ranked = sorted(groups.items(), key=lambda pair: int(pair[1].get("priority", 0)))
    for device, tagged in tags.items():
        for name, group in ranked:
            select = group["select"]
            if tagged["site"] in select["tags"]["site"] and (
                "percent" not in select or kept(name, device, select["percent"])
            ):
                desired.setdefault(device, {}).update(group["flows"])
print(sum(live[device].get(flow) != version for device, flows in desired.items() for flow, version in flows.items()))
