from __future__ import annotations

import pytest

from tests.conformance.account import LIVE


@pytest.fixture(autouse=True)
def loopback_only(request: pytest.FixtureRequest) -> None:
    """As everywhere, unless a real account is to be asked."""
    if LIVE is None:
        request.getfixturevalue("loopback_only")
