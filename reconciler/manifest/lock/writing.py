"""Writes a lock: sorted, one line a version, so that a review shows what changed and git merges it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.manifest.lock.reading import Section
from reconciler.manifest.quoting import comment, quoted
from reconciler.model.state import FlowId
from reconciler.model.versions import Content

_HEAD = """\
# What each version of a flow was when it was locked. Written by `reconciler lock`; review it like any other file.
apiVersion: reconciler/v1
locked:
"""


def lock_text(sections: Mapping[Section, Iterable[Content]], names: Mapping[FlowId, str]) -> str:
    """The text of a lock. `names`: what the manifests call the flows, as comments."""
    lines = []
    for (application, kind), contents in sorted(sections.items()):
        lines.append(f"  {application}/{kind}:")
        before = None
        for one in sorted(contents):
            if one.flow_id != before:
                lines.append(f"    {quoted(one.flow_id)}:{comment(names.get(one.flow_id))}")
            before = one.flow_id
            lines.append(
                f"      {quoted(one.version)}: {{id: {quoted(one.id)}, created: {quoted(one.created)}, "
                f"sha256: {quoted(one.sha256)}}}"
            )
        if before is None:
            lines[-1] += " {}"
    return _HEAD + "\n".join([*lines, ""]) if lines else _HEAD.rstrip() + " {}\n"
