"""The questions that Losant's documentation leaves open, each one a switch.

The defaults are the conservative readings. A client that is right under one reading only is not right, so tests
turn these one by one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Switches(BaseModel):
    """How the simulated API answers what is not documented. Change them with `Control.switch`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: Literal["atomic", "partial"] = Field(
        "atomic", description="a release that names an unknown device: nothing happens, or the devices before it move"
    )
    unknown_device: Literal["404", "skip"] = Field(
        "404", description="unknown, deleted or wrong-class device ids in a write: refused, or left out"
    )
    unknown_flow: Literal["404", "accept"] = Field(
        "404", description="unknown or wrong-class flow in a write: refused, or taken at its word"
    )
    unknown_version: Literal["404", "accept"] = Field(
        "404", description="unknown version in a write: refused, or taken at its word"
    )
    develop: Literal["400", "accept"] = Field("400", description="versions named `develop` or `default` in a write")
    empty_selector: Literal["400", "everything", "nothing"] = Field(
        "400", description="a release without any device id or tag: refused, all devices, or no device"
    )
    selectors: Literal["union", "intersection"] = Field("union", description="deviceIds and deviceTags in one release")
    remove_all: Literal["400", "everything"] = Field("400", description="remove with flowId and deviceId both null")
    version_filter: Literal["any_flow", "same_flow", "released", "reported"] = Field(
        "any_flow",
        description="what the list's `version` looks at: released or reported of any flow of the device, of the flow "
        "in `flowId` only, or only one of the two sides",
    )
    replace_matches: Literal["released", "reported", "either", "both"] = Field(
        "released", description="which side of a row a replace compares with oldVersion"
    )
    replace_unknown_bundles: Literal["ignored", "reached"] = Field(
        "ignored", description="whether a replace reaches every row of its flow on devices with an unknown bundle"
    )
    empty_entries: Literal["kept", "dropped"] = Field(
        "dropped", description="entries of an embedded record whose two versions are null"
    )
    empty_records: Literal["kept", "dropped"] = Field("kept", description="embedded records without any flow")
    empty_edge_records: Literal["kept", "dropped"] = Field("kept", description="edge records with two null versions")
    per_page_cap: Annotated[int, Field(ge=1)] | None = Field(
        None, description="the most items a page holds; the capped number is echoed"
    )
    effect_delay_s: Annotated[float, Field(ge=0)] = Field(
        0.0, description="seconds between the answer to a write and its effect"
    )
    rerelease: Literal["log", "silent"] = Field(
        "log", description="releasing what is released already: a log entry and a new lastUpdated, or nothing"
    )
    empty_bundle: Literal["null", "nullVersion"] = Field(
        "nullVersion", description="desiredBundleVersion when no flow is released"
    )
    missing_token: Literal["403", "401"] = Field("403", description="status of a request without a token")
    tag_filter: Literal["any", "all"] = Field("any", description="several pairs in `tagFilter` of the device list")
