"""A local simulator of the Losant API: deployments, devices, workflows, faults. See `README.md` here."""

from reconciler.simulator import faults as faults
from reconciler.simulator.control import Control as Control
from reconciler.simulator.control import ControlError as ControlError
from reconciler.simulator.http.server import Server as Server
from reconciler.simulator.http.server import run as run
from reconciler.simulator.http.server import serve as serve
from reconciler.simulator.world.clock import Clock as Clock
from reconciler.simulator.world.fleet import Definition as Definition
from reconciler.simulator.world.fleet import Fleet as Fleet
from reconciler.simulator.world.fleet_file import FleetError as FleetError
from reconciler.simulator.world.fleet_file import build_fleet as build_fleet
from reconciler.simulator.world.fleet_file import load_fleet as load_fleet
from reconciler.simulator.world.fleet_file import parse_fleet as parse_fleet
from reconciler.simulator.world.store import Switches as Switches
