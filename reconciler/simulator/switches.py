"""Switches: one for each question that Losant's documentation leaves open.

The defaults are the conservative readings. A client must be correct under every reading, so tests vary the switches
one by one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Switches(BaseModel):
    """How the simulated API behaves where the documentation is silent; `README.md` explains each switch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: Literal["atomic", "partial"] = "atomic"
    unknown_device: Literal["404", "skip"] = "404"
    unknown_flow: Literal["404", "accept"] = "404"
    unknown_version: Literal["404", "accept"] = "404"
    develop: Literal["400", "accept"] = "400"
    empty_selector: Literal["400", "everything", "nothing"] = "400"
    selectors: Literal["union", "intersection"] = "union"
    remove_all: Literal["400", "everything"] = "400"
    version_filter: Literal["any_flow", "same_flow", "released", "reported"] = "any_flow"
    replace_matches: Literal["released", "reported", "either", "both"] = "released"
    replace_unknown_bundles: Literal["ignored", "reached"] = "ignored"
    empty_entries: Literal["kept", "dropped"] = "dropped"
    empty_records: Literal["kept", "dropped"] = "kept"
    empty_edge_records: Literal["kept", "dropped"] = "kept"
    per_page_cap: Annotated[int, Field(ge=1)] | None = None
    effect_delay_s: Annotated[float, Field(ge=0)] = 0.0
    rerelease: Literal["log", "silent"] = "log"
    empty_bundle: Literal["null", "nullVersion"] = "nullVersion"
    missing_token: Literal["403", "401"] = "403"  # noqa: S105 - a status
    tag_filter: Literal["any", "all"] = "any"
