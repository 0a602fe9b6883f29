"""The checks of `tests/field_tables.py` can fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema_rs import ValidationError

from tests.field_tables import check_answer, check_request

ID = "0" * 24
LIST, RELEASE = f"/applications/{ID}/embedded/deployments", f"/applications/{ID}/edge/deployments/release"
BODY: dict[str, Any] = {"flowId": ID, "version": "v1", "deviceIds": [ID]}


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", LIST + "?page=0&perPage=1000&sortField=id&_links=false", None),
        ("GET", f"/applications/{ID}/devices?query=%7B%22name%22%3A%22x%22%7D", None),
        ("POST", RELEASE, BODY),
        ("POST", LIST + "/export", None),
    ],
)
def test_a_request_that_is_declared(method: str, target: str, body: Any) -> None:
    check_request(method, target, b"" if body is None else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("DELETE", LIST, None),
        ("GET", LIST + "/x/y", None),
        ("GET", LIST + "?colour=red", None),
        ("GET", LIST + "?page=one", None),
        ("GET", LIST + "?page=0&page=1", None),
        ("GET", LIST + "?sortField=deviceId", None),
        ("GET", LIST + "?deviceId=", None),
        ("GET", LIST + "?_links=False", None),
        ("GET", LIST, {}),
        ("GET", f"/applications/{ID}/devices?query=%7B%22serial%22%3A1%7D", None),
        ("GET", f"/applications/{ID}/devices/tagValues", None),
        ("POST", RELEASE, None),
        ("POST", RELEASE, {**BODY, "deviceIds": [ID] * 1001}),
        ("POST", RELEASE, {**BODY, "releaseTag": None}),
        ("POST", RELEASE, {**BODY, "version": ""}),
    ],
)
def test_a_request_that_is_not(method: str, target: str, body: Any) -> None:
    with pytest.raises((AssertionError, ValidationError)):
        check_request(method, target, b"" if body is None else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, {"success": False}),
        (201, {"success": True, "count": 3}),
        (404, {"code": "InvalidContent", "message": "x"}),
        (404, {"type": "NotFound"}),
        (400, {"type": "Validation", "message": 5}),
    ],
)
def test_an_answer_that_is_not_declared(status: int, body: Any) -> None:
    with pytest.raises(ValidationError):
        check_answer("embeddedDeployments.release", status, body)


def test_without_strictness_fields_may_be_missing_or_unknown_but_not_of_another_type() -> None:
    check_answer("embeddedDeployment.get", 200, {"flows": {ID: {"newField": 1}}, "another": 1}, strict=False)
    with pytest.raises(ValidationError):
        check_answer("embeddedDeployment.get", 200, {"flows": {ID: {"desiredVersion": 5}}}, strict=False)
