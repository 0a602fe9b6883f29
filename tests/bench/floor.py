"""What a plan costs at least: fetch the same pages, parse them, load the same YAML, compare two dicts.

`python floor.py URL MANIFEST` prints the number of rows that differ. No checks, no positions, no order, no output.
"""

import http.client
import json
import sys
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import yaml

url, path = sys.argv[1:]
with open(path, encoding="utf-8") as file:  # noqa: PTH123 - the cheapest way
    manifest = yaml.load(file, Loader=yaml.CSafeLoader)
connection = http.client.HTTPConnection(urlsplit(url).netloc)
base = f"/applications/{manifest['application']}"


def listing(kind: str) -> dict[str, Any]:
    items: dict[str, Any] = {}
    page = 0
    while True:
        connection.request("GET", f"{base}/{kind}?perPage=1000&page={page}&sortField=id&sortDirection=asc")
        answer = json.loads(connection.getresponse().read())
        items |= {item["deviceId"]: item for item in answer["items"]}
        page += 1
        if len(items) >= answer["totalCount"]:
            return items


def kept(group: str, device: str, percent: float) -> bool:
    return int.from_bytes(sha256(f"{group}\0{device}".encode()).digest()[:8], "big") / 2**64 < percent / 100


live = {
    device: {flow: entry["desiredVersion"] for flow, entry in item["flows"].items()}
    for device, item in listing("embedded/deployments").items()
}
desired = {device: dict(flows) for device, flows in manifest.get("devices", {}).items()}
if groups := manifest.get("groups"):
    for device, item in listing("devices").items():
        tags = {tag["key"]: tag["value"] for tag in item["tags"]}
        for name, group in sorted(groups.items(), key=lambda pair: pair[1].get("priority", 0)):
            select = group["select"]
            if tags["site"] in select["tags"]["site"] and kept(name, device, select.get("percent", 100)):
                desired.setdefault(device, {}).update(group["flows"])
print(sum(live[device].get(flow) != version for device, flows in desired.items() for flow, version in flows.items()))
