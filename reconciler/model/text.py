"""What every room asks of text: is it an id, and how a number of things is written."""

from __future__ import annotations

import re
from typing import Final

ID_PATTERN: Final = "[0-9A-Fa-f]{24}"
is_id: Final = re.compile(ID_PATTERN).fullmatch  # whether text is an id of the API; called for each record of a fleet
