"""The simulator for your own tests, as a context manager; for pytest see `reconciler.testing.fixtures`.

Needs the extra `simulator`.
"""

from __future__ import annotations

from reconciler.simulator import Server
from reconciler.simulator.http.server import FleetSource

SMALL_FLEET = """\
take_up_s: 0
applications:
  - id: 5f0c8a1b2d3e4f5061728394
    name: pumps
    flows:
      telemetry: [v1.2.3, v1.3.0]
      alarms: [v2.0.0, v2.1.0]
    devices:
      - {count: 3, name: "leeds-{n}", tags: {site: leeds}, deployed: {telemetry: v1.2.3, alarms: v2.0.0}}
      - {count: 2, name: "york-{n}", tags: {site: york}, deployed: {telemetry: v1.2.3}}
"""


class Simulator(Server):
    """A simulated API on a local port, for a `with` block, with the attributes of `Server`."""

    def __init__(self, fleet: FleetSource = SMALL_FLEET) -> None:
        """Load a fleet: YAML text, a path, or plain data; by default five pumps."""
        super().__init__(fleet)
