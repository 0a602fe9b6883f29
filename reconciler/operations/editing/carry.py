"""`promote`, offline: the versions of one environment's groups, said in the groups of the same names of another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from reconciler.errors import Problem, UsageError
from reconciler.manifest.document import Layer, canonical
from reconciler.manifest.tree import shown
from reconciler.model.text import is_id
from reconciler.operations.editing.drafts import Drafts, Edited
from reconciler.operations.editing.loading import documents_of
from reconciler.operations.editing.places import Flows, Said, Sort, all_said, owner, owner_text
from reconciler.planner.resolution.names import Spelling


class Carried(NamedTuple):
    """One group's flow: where its version is taken from, and where it is to be said."""

    source: Said
    target: Said

    @property
    def version(self) -> str:
        """The version that is carried."""
        return self.source.version


class Promotion(NamedTuple):
    """What is carried, the files that it changes, which are not written yet, and what is not carried.

    `flow_id` or a Losant name of a flow is found by `flows`, for either environment.
    """

    carried: tuple[Carried, ...]
    files: tuple[Edited, ...]
    notes: tuple[str, ...]
    flows: Flows


def promotion(
    source: str, target: str, *, flows: Collection[str] = (), groups: Collection[str] = (), kind: str | None = None
) -> Promotion:
    """Carry versions from one file to another. Writes nothing, and never edits a base.

    Args:
        source: the file of the environment that has the versions.
        target: the file of the one that is to get them.
        flows: only these, by alias, id or name.
        groups: only these.
        kind: only this kind, where files have both.

    Raises:
        ManifestError: the files have problems, or an edit would change something else.
        UsageError: the two cannot be told apart, are of two kinds, or have nothing in common.
    """
    files = Drafts()
    sources, targets = (documents_of([path], files, kind=kind) for path in (source, target))
    _check_pair(_only(sources, "--from", source), _only(targets, "--to", target))
    matching = _Matching(sources, targets, (source, target))
    pairs = matching.pairs(flows, groups)
    carried = [one for one in pairs if one.source.version != one.target.version and matching.is_version(one)]
    own = sorted((one for one in carried if one.target.is_own), key=lambda one: one.target.place, reverse=True)
    others = [one for one in carried if not one.target.is_own]
    # From the last place to the first: none that is still to be edited moves.
    for one in own:
        files.edit_value(one.target, one.version, [target], {one.target.document.place})
    for one in sorted(others, key=lambda one: one.target.document.place, reverse=True):
        files.add_override(one.target, one.version, [target])
        base = f"{one.target.place}, a base, which is left as it is"
        matching.notes.append(f"{one.target.document.place.path} overrides {one.target.what} of {base}")
    return Promotion(tuple(carried), tuple(files.edited()), tuple(dict.fromkeys(matching.notes)), matching.flows)


def _only(documents: Sequence[Layer], option: str, path: str) -> Layer:
    if len({owner(one) for one in documents}) > 1:
        listed = ", ".join(dict.fromkeys(f"{owner_text(one)} ({owner(one)[1]})" for one in documents))
        raise UsageError(f"{option} {path} is for several: {listed}", hint="give the file of one, or --kind")
    return documents[0]


def _check_pair(source: Layer, target: Layer) -> None:
    (from_id, from_kind), (to_id, to_kind) = owner(source), owner(target)
    if from_kind != to_kind:
        message = f"--from is for {from_kind} deployments, --to for {to_kind}"
        raise UsageError([target.place.problem(message, "promote between files of one kind")])
    if from_id == to_id:
        message = f"--from and --to are both for application {to_id}"
        raise UsageError([target.place.problem(message, "inside one application use `reconciler set`")])


class _Matching:
    """Pairs what the groups of two environments say. Ids differ from one to the other, names do not."""

    def __init__(self, sources: Sequence[Layer], targets: Sequence[Layer], paths: tuple[str, str]) -> None:
        self.flows = Flows((*sources, *targets))
        self.notes: list[str] = []
        self._paths = paths
        self._sources, self._targets = _by_group(sources), _by_group(targets)

    def pairs(self, flows: Collection[str], groups: Collection[str]) -> list[Carried]:
        """What both say, of the flows and groups that were chosen."""
        self._check_chosen(flows, groups)
        pairs: list[Carried] = []
        for group, said in sorted(self._sources.items()):
            if groups and group not in groups:
                continue
            if group not in self._targets:
                self.notes.append(f"not carried: group {shown(group)} is not in {self._paths[1]}")
                continue
            pairs += self._pairs_of([one for one in said if not flows or self._is_any_of(one, flows)])
        if not pairs:
            message = f"{self._paths[0]} and {self._paths[1]} have no flow of a group in common"
            hint = "promote carries between groups of one name, and flows of one alias or name"
            raise UsageError([Problem(message, hint=hint), *(Problem(note) for note in self.notes)])
        return pairs

    def is_version(self, pair: Carried) -> bool:
        """Whether it is a version that is carried: whether a flow runs at all is not."""
        if "absent" not in (pair.source.version, pair.target.version):
            return True
        what = f"flow {shown(pair.target.rule.flow.text)} of {pair.target.what}"
        says = f"is {pair.source.version} at {pair.source.place}, {pair.target.version} at {pair.target.place}"
        self.notes.append(f"not carried: {what} {says}; whether a flow runs is said by hand, or with `reconciler set`")
        return False

    def _pairs_of(self, said: Sequence[Said]) -> Iterator[Carried]:
        for one in said:
            labels = self._labels(one)
            targets = [other for other in self._targets[one.name] if labels & self._labels(other)]
            if len({other.place for other in targets}) > 1:
                problems = [other.place.problem(f"{other.what} says {other.version}") for other in targets]
                message = f"flow {shown(one.rule.flow.text)} of {one.what} may be several flows of {self._paths[1]}"
                raise UsageError([one.place.problem(message, "give each flow one alias"), *problems])
            if targets:
                yield Carried(one, targets[0])
            else:
                hint = "" if labels else ", since an id is of one application: give it the same alias in both"
                what = f"flow {shown(one.rule.flow.text)} is not in {one.what}"
                self.notes.append(f"not carried: {what} of {self._paths[1]}{hint}")

    def _labels(self, said: Said) -> set[str]:
        """The names by which a flow is known in either environment."""
        aliases = self.flows.aliases(said.document)
        meant = self.flows.meant(said.document, said.rule.flow.text)
        labels = {meant, *(alias for alias, target in aliases.items() if target == meant)}
        return {label for label in labels if not is_id(label)}

    def _is_any_of(self, said: Said, flows: Collection[str]) -> bool:
        labels = self._labels(said) | {self.flows.meant(said.document, said.rule.flow.text)}
        return any(canonical(flow) in labels for flow in flows)

    def _check_chosen(self, flows: Collection[str], groups: Collection[str]) -> None:
        problems = []
        for group in groups:
            for path, known in zip(self._paths, (self._sources, self._targets), strict=True):
                if group not in known:
                    hint = Spelling(known).hint(group) or f"groups: {', '.join(sorted(known)) or 'none'}"
                    problems.append(Problem(f"{path} has no group {shown(group)}", hint=hint))
        all_of = [one for said in self._sources.values() for one in said]
        for flow in flows:
            if not any(self._is_any_of(one, [flow]) for one in all_of):
                hint = Spelling({one.rule.flow.text for one in all_of}).hint(flow) or "check the spelling"
                problems.append(Problem(f"no group of {self._paths[0]} declares flow {shown(flow)}", hint=hint))
        if problems:
            raise UsageError(problems)


def _by_group(documents: Sequence[Layer]) -> dict[str, list[Said]]:
    """What groups say; a place that several documents of an application reach counts once."""
    found: dict[tuple[str, object], Said] = {}
    for said in (one for document in documents for one in all_said(document) if one.sort is Sort.GROUP):
        found.setdefault((said.name, said.place), said)
    groups: dict[str, list[Said]] = {}
    for said in found.values():
        groups.setdefault(said.name, []).append(said)
    return groups
