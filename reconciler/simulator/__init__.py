"""A local stand-in of the Losant API: deployments, devices, workflows, agents, faults. See `README.md` here."""

from __future__ import annotations

from reconciler.simulator import faults
from reconciler.simulator.clock import Clock
from reconciler.simulator.control import Control, ControlError
from reconciler.simulator.fleet import Fleet
from reconciler.simulator.fleet_file import FleetError, build_fleet, load_fleet, parse_fleet
from reconciler.simulator.server import Server, run, serve
from reconciler.simulator.switches import Switches

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
