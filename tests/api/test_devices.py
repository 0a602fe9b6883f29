"""Pages of devices: what is read by key is what the shape reads, and nothing else is let in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.api.inventory import DevicePages
from reconciler.api.shapes import DeviceShape, shaped
from reconciler.api.wire import Missing, Unreadable
from reconciler.model.state import Device
from tests.api.speaking import listing
from tests.builders import hex_id

ID = hex_id(7, "d")
odd: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 1),
    st.text(max_size=2),
    st.just([]),
    st.just({}),
    st.just([1]),
    st.just("é"),
)
texts = st.sampled_from(["site", "role", "", "1"])
tags = st.lists(
    st.one_of(
        st.fixed_dictionaries({"key": texts, "value": texts}, optional={"more": odd}),
        st.fixed_dictionaries({"key": st.one_of(texts, odd), "value": st.one_of(texts, odd)}),
        st.fixed_dictionaries({"key": texts}),
        odd,
    ),
    max_size=3,
)
records = st.one_of(
    st.fixed_dictionaries(
        {"id": st.sampled_from([ID, ID.upper()])},
        optional={
            "name": st.text(max_size=3),
            "deviceClass": st.sampled_from(["embedded", "standalone", None]),
            "tags": st.lists(st.fixed_dictionaries({"key": texts, "value": texts}), max_size=4),
            "connectionInfo": st.sampled_from([None, {"time": "x", "connected": 1}, {}, 5]),
            "attributes": st.sampled_from([[{"name": "a", "dataType": "number", "attributeTags": {"x": ["y"]}}], []]),
        },
    ),
    st.fixed_dictionaries(
        {"id": st.one_of(st.just(ID), st.just(ID[:-1] + "g"), odd)},
        optional={"name": odd, "deviceClass": odd, "tags": st.one_of(tags, odd)},
    ),
    odd,
)


def body(data: object, *, spaced: bool = False) -> bytes:
    return json.dumps(data, separators=None if spaced else (",", ":")).encode()


@given(items=st.lists(records, max_size=4), spaced=st.booleans())
@example(items=[{"id": ID, "tags": False}], spaced=False)
@example(items=[{"id": ID, "tags": {}}], spaced=False)
@example(items=[{"id": ID, "tags": ""}], spaced=False)
@example(items=[{"id": ID, "tags": 0}], spaced=False)
@example(items=[{"id": ID, "tags": []}, {"id": ID, "tags": None}], spaced=False)
def test_reading_by_key_is_reading_by_the_shape(items: list[Any], spaced: bool) -> None:
    try:
        for item in items:
            if isinstance(item, dict) and item.get("id") is None:
                raise Missing
        shapes = [shaped(item, DeviceShape) for item in items]
    except Unreadable:
        with pytest.raises(Unreadable, match=r"^record [0-3]"):
            DevicePages().page(body(listing(items), spaced=spaced))
        return
    expected = []
    for shape in shapes:
        values: dict[str, tuple[str, ...]] = {}
        for tag in shape.tags or ():
            values[tag.key] = (*values.get(tag.key, ()), tag.value)
        expected.append((shape.id, Device(shape.id, shape.name, shape.deviceClass, values)))
    page = DevicePages().page(body(listing(items), spaced=spaced))
    assert [*zip(page.ids, page.values, strict=True)] == expected
    assert page.total == len(items)


def test_the_tags_of_devices_that_are_tagged_alike_are_one_value() -> None:
    items = [{"id": hex_id(n, "d"), "tags": [{"key": "site", "value": "leeds"}]} for n in range(3)]
    pages = DevicePages()
    found = [device for _ in range(2) for device in pages.page(body(listing(items))).values]
    assert found[0].tags == {"site": ("leeds",)}
    assert len({id(device.tags) for device in found}) == 1
