"""Reads of single devices as one."""

from __future__ import annotations

import pytest

from reconciler.model.state import Evidence, Live, LiveDevice, Read
from reconciler.operations.inspect import _together


def one(device_id: str, began: float, server_time: float | None) -> Read:
    device = LiveDevice({}, evidence=Evidence(updated=began))
    return Read(Live({device_id: device}), began, began + 1, server_time)


@pytest.mark.parametrize(
    ("times", "server_time"), [((20.0,), 20.0), ((30.0, 20.0), 20.0), ((20.0, None), None), ((None, None), None)]
)
def test_what_was_read_first_dates_all(times: tuple[float | None, ...], server_time: float | None) -> None:
    """The earliest time makes nothing older than it is; where one is unknown, none can be told."""
    read = _together([one(f"d{number}", 10.0 + number, time) for number, time in enumerate(times)])
    assert (read.began, read.ended, read.server_time) == (10.0, 10.0 + len(times), server_time)
    assert [device.evidence.updated for device in read.live.devices.values()] == [10.0 + n for n in range(len(times))]
