"""Reads what a set of rules needs from the API, in as few requests as possible; then resolves, prunes and checks.

Three rules keep the count low. A manifest that contains only ids needs the deployments and nothing else. If a selector
needs the whole device list, that listing serves all other look-ups of devices. Existence is checked only for what is
new or would change: what is already released was once accepted by the platform.

A device that was deleted leaves its record. If the device list was read, it shows which records those are; else only
records of devices that are not connected can be such, and only their devices are looked up. A token that may not read
devices does without.

If only some rows of an application are needed (`Extent`), only those are read and checked. The rules are still
resolved as a whole, since a row's version may come from any of them.
"""

from reconciler.discovery.reads import EVERYTHING, Extent
from reconciler.discovery.run import discover

__all__ = ["EVERYTHING", "Extent", "discover"]
