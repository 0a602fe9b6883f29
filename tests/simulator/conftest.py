from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.simulator import Clock, serve
from tests.simulator.wire import Api

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def start() -> Iterator[Callable[..., Api]]:
    """Start a simulator whose clock stands still, and give a client for it: `start(fleet)`."""
    with ExitStack() as stack:

        def begin(fleet: Any, **options: Any) -> Api:
            server = stack.enter_context(serve(fleet, **{"clock": Clock(frozen_at=START), **options}))
            api = Api(server)
            stack.callback(api.close)
            return api

        yield begin


PUMPS = """
applications:
  - name: Pumps
    flows:
      telemetry: [v1, v2, v3]
      alarms: [a1, a2]
      other: {class: cloud, versions: [c1]}
    devices:
      - {name: pump-1, tags: {site: leeds}, deployed: {telemetry: v1}}
      - {name: pump-2, tags: {site: leeds, role: spare}, deployed: {telemetry: v1, alarms: a1}}
      - {name: pump-3, tags: {site: york}, deployed: {telemetry: v2}, connected: false}
      - {name: pump-4, tags: {site: york}}
      - {name: gateway-1, class: gateway, tags: {site: york}}
"""


@pytest.fixture
def pumps(start: Callable[..., Api]) -> Api:
    """Three deployed pumps, one bare, and a device of another class."""
    return start(PUMPS)
