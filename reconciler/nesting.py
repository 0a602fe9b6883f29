"""How deep a YAML file may be nested: our own rule, whatever limits the YAML library has."""

from __future__ import annotations

from typing import Any

import yaml

MAX_DEPTH = 50
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


class CuttingLoader(yaml.SafeLoader):
    """The pure parser on a file that ends where it is too deep: one that comes that far has met no other limit.

    A scanner looks ahead in a line for the colon of a key, so it may get to a limit of its own (libyaml's is 1,000
    levels) before the parser has emitted the first of the brackets. This one stops at the first that is too many.
    """

    def fetch_flow_collection_start(self, token: Any) -> None:
        """Scan a bracket that opens a list or map; the stream ends at the second that is too deep."""
        if self.flow_level > MAX_DEPTH:
            self.fetch_stream_end()
        else:
            super().fetch_flow_collection_start(token)
