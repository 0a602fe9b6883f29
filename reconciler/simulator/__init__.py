"""A local stand-in of the Losant API: deployments, devices, workflows, faults. See `README.md` here."""

from __future__ import annotations

from reconciler.simulator import faults
from reconciler.simulator.control import Control, ControlError
from reconciler.simulator.http.server import Server, run, serve
from reconciler.simulator.switches import Switches
from reconciler.simulator.world.clock import Clock
from reconciler.simulator.world.fleet import Fleet
from reconciler.simulator.world.fleet_file import FleetError, build_fleet, load_fleet, parse_fleet

__all__ = [
    "Clock",
    "Control",
    "ControlError",
    "Fleet",
    "FleetError",
    "Server",
    "Switches",
    "build_fleet",
    "faults",
    "load_fleet",
    "parse_fleet",
    "run",
    "serve",
]
