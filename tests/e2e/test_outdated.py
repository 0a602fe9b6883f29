"""What is declared beside the newest version of each flow."""

from __future__ import annotations

import pytest
from jsonschema_rs import Draft202012Validator

from reconciler.documents.json_schema import output_schema
from reconciler.model.state import Kind
from reconciler.simulator import faults
from tests.support.cli import Here
from tests.support.fleet import APPLICATION, HEAD, Shop, of_kind

MANIFEST = f"""{HEAD}
flows: {{t: telemetry}}
groups:
  leeds: {{select: {{tags: {{site: leeds}}}}, flows: {{t: v3, alarms: v1}}}}
devices:
  york-1: {{t: v1, alarms: v1}}
pins:
  - {{device: leeds-1, flows: {{t: v9}}, reason: x}}
"""


@pytest.fixture
def manifest(kind: Kind, shop: Shop) -> None:
    shop.write("shop.yaml", of_kind(kind, MANIFEST))


@pytest.mark.usefixtures("manifest")
def test_json_says_each_version_with_dates_and_who_declares_it(shop: Shop, here: Here, kind: Kind) -> None:
    shop.control.advance(60)
    shop.control.add_version("alarms", "a-hotfix")  # the newest by its date, not by its name
    ended = here("outdated", "shop.yaml", "--format", "json")
    assert ended.code == 0
    assert Draft202012Validator(output_schema()).is_valid(ended.document)
    rows = {(one["flow_name"], one["version"]): one for one in ended.document["versions"]}
    assert {key: (one["newest"], one["outdated"]) for key, one in rows.items()} == {
        ("alarms", "v1"): ("a-hotfix", True),
        ("t", "v1"): ("v3", True),
        ("t", "v3"): ("v3", False),
        ("t", "v9"): ("v3", True),
    }
    assert rows["t", "v9"]["created"] is None
    assert rows["t", "v1"]["created"] < rows["t", "v1"]["newest_created"] == rows["t", "v3"]["created"]
    assert rows["alarms", "v1"]["declared_by"] == [
        {"rule": "group leeds", "place": "shop.yaml:6"},
        {"rule": "device york-1", "place": "shop.yaml:8"},
    ]
    assert rows["t", "v9"]["declared_by"] == [{"rule": "pin leeds-1", "place": "shop.yaml:10"}]
    assert (rows["t", "v1"]["application"], rows["t", "v1"]["kind"]) == ({"id": APPLICATION, "name": "shop"}, kind)
    assert set(shop.control.counts()) == {"flows.get", "flowVersions.get"}


@pytest.mark.usefixtures("manifest")
def test_text_and_exit_codes(kind: Kind, shop: Shop, here: Here) -> None:
    ended = here("outdated", "shop.yaml")
    assert ended.code == 0
    assert "flow t (" in ended.out
    assert "group leeds  shop.yaml:6" in ended.out
    assert "no such version  outdated" in ended.out
    assert ended.out.endswith("3 of 4 declared versions outdated.\n")
    assert here("outdated", "shop.yaml", "--detailed-exitcode").code == 2
    shop.write("shop.yaml", of_kind(kind, f"{HEAD}devices: {{york-1: {{telemetry: v3}}}}\n"))
    newest = here("outdated", "shop.yaml", "--detailed-exitcode")
    assert (newest.code, newest.out.splitlines()[-1]) == (0, "Nothing is outdated.")


@pytest.mark.usefixtures("manifest")
def test_what_cannot_be_read_is_an_error(kind: Kind, shop: Shop, here: Here) -> None:
    number = shop.control.fault(faults.Status(status=403, when=faults.When(action="flowVersions.get")))
    ended = here("outdated", "shop.yaml", "--format", "json")
    assert (ended.code, ended.document["versions"]) == (1, [])
    assert "flowVersions.get" in ended.err
    shop.control.clear_faults(number)
    shop.write("shop.yaml", of_kind(kind, f"{HEAD}devices: {{york-1: {{telemetri: v3, {'5' * 24}: v1}}}}\n"))
    unknown = here("outdated", "shop.yaml")
    assert unknown.code == 1
    assert 'shop.yaml:3:20: no flow is named "telemetri" (nearest: telemetry)' in unknown.err
    shop.write("shop.yaml", of_kind(kind, f"{HEAD}devices: {{york-1: {{{'5' * 24}: v1}}}}\n"))
    assert (
        f"shop.yaml:3:20: flow {'5' * 24} does not exist in application {APPLICATION}"
        in here("outdated", "shop.yaml").err
    )
