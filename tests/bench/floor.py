"""What a plan costs at least: fetch the same pages, parse them, load the same YAML, compare two dicts.

`python floor.py URL MANIFEST FETCHED` prints the number of rows that differ; FETCHED has a line for each page that the
plan asked for. No checks, no positions, no order, no output.
"""

import http.client
import json
import sys
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import yaml

url, path, fetched = sys.argv[1:]
with open(path, encoding="utf-8") as file:  # noqa: PTH123 - the cheapest way
    manifest = yaml.load(file, Loader=yaml.CSafeLoader)
connection = http.client.HTTPConnection(urlsplit(url).netloc)
with open(fetched, encoding="utf-8") as file:  # noqa: PTH123
    targets = file.read().split()


def listing(kind: str) -> dict[str, Any]:
    items: dict[str, Any] = {}
    for target in targets:
        if urlsplit(target).path.endswith(kind):
            connection.request("GET", target)
            items |= {item["id"]: item for item in json.loads(connection.getresponse().read())["items"]}
    return items


def kept(group: str, device: str, percent: float) -> bool:
    return int.from_bytes(sha256(f"{group}\0{device}".encode()).digest()[:8], "big") / 2**64 < percent / 100


live = {
    device: {flow: entry["desiredVersion"] for flow, entry in item["flows"].items()}
    for device, item in listing("deployments").items()
}
records = listing("devices")
listing("versions")
desired = {device: dict(flows) for device, flows in manifest.get("devices", {}).items()}
if groups := manifest.get("groups"):
    for device, item in records.items():
        tags = {tag["key"]: tag["value"] for tag in item["tags"]}
        for name, group in sorted(groups.items(), key=lambda pair: pair[1].get("priority", 0)):
            select = group["select"]
            if tags["site"] in select["tags"]["site"] and kept(name, device, select.get("percent", 100)):
                desired.setdefault(device, {}).update(group["flows"])
print(sum(live[device].get(flow) != version for device, flows in desired.items() for flow, version in flows.items()))
