"""The keys of a policy as text, and which of two policies is the looser one, key by key.

Looser means that a change may reach more devices at once, sooner, or on less proof. What cannot be shown to be no
looser counts as looser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from reconciler.model.rules import Budget, Policy, Ref, Selector, Window
from reconciler.planner.resolution.selector import selector_text

_UNITS = ((86400, 2, "d"), (3600, 1, "h"), (60, 1, "m"))  # 24h, but 2d
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60


class Key(NamedTuple):
    """A key of a policy: its text, None where there is nothing, and whether the second of two policies is looser."""

    text: Callable[[Policy], str | None]
    looser: Callable[[Policy, Policy], bool]


def is_looser(old: Policy, new: Policy) -> bool:
    """Whether any key is looser."""
    return any(key.looser(old, new) for key in KEYS.values())


def policy_text(policy: Policy) -> str:
    """All of a policy on one line."""
    texts = ((name, key.text(policy)) for name, key in KEYS.items())
    return "; ".join(f"{name} {text}" for name, text in texts if text is not None)


# --- waves ------------------------------------------------------------------------------------------------------


def _waves_text(policy: Policy) -> str:
    return ", then ".join(_select_text(wave.select) for wave in policy.waves)


def _select_text(select: Selector) -> str:
    parts = []
    if select.devices is not None or select.tags is not None:
        parts.append(selector_text(select._replace(percent=None, exclude=None), ""))
    if select.percent is not None:
        parts.append(f"{_number(select.percent)} percent")
    if select.exclude is not None:
        parts.append(f"except ({_select_text(select.exclude)})")
    return ", ".join(parts)


def _waves_looser(old: Policy, new: Policy) -> bool:
    """Whether some device may get into an earlier wave: each new wave must lie within an old one that is no later."""
    if len(new.waves) < len(old.waves):
        return True
    return not all(
        any(_within(wave.select, other.select) for other in old.waves[:number])
        for number, wave in enumerate(new.waves[: len(old.waves)], 1)
    )


def _within(inner: Selector, outer: Selector) -> bool:
    """Whether one selector picks no device that the other does not, as far as their texts tell.

    A share is of what the other keys pick, at least one device, so it lies within a share of the same devices alone.
    """
    _place, devices, tags, query, _all, percent, exclude = outer
    return (
        query is None
        and (devices is None or (inner.devices is not None and _texts(inner.devices) <= _texts(devices)))
        and (tags is None or _tags_within(inner.tags or {}, tags))
        and (percent is None or (inner.percent is not None and inner.percent <= percent and _alike(inner, outer)))
        and (exclude is None or (inner.exclude is not None and _within(exclude, inner.exclude)))
    )


def _alike(one: Selector, other: Selector) -> bool:
    """Whether the keys but `percent` pick the same devices."""
    one, other = one._replace(percent=None), other._replace(percent=None)
    return _within(one, other) and _within(other, one)


def _texts(refs: Iterable[Ref]) -> set[str]:
    return {ref.text for ref in refs}


def _tags_within(inner: Mapping[str, tuple[str, ...]], outer: Mapping[str, tuple[str, ...]]) -> bool:
    return all(key in inner and set(inner[key]) <= set(values) for key, values in outer.items())


# --- budget and window ------------------------------------------------------------------------------------------


def _budget_text(policy: Policy) -> str | None:
    budget = policy.budget
    if budget is None:
        return None
    most = f"{budget.count}" if budget.percent is None else f"{_number(budget.percent)}%"
    return f"{most} by {', '.join(sorted(budget.by))}" if budget.by else most


def _budget_looser(old: Policy, new: Policy) -> bool:
    if old.budget is None or new.budget is None:
        return old.budget is not None
    return not _as_strict(old.budget, new.budget)


def _as_strict(old: Budget, new: Budget) -> bool:
    """Fewer tags make larger sets, in which a number, but not a percentage, allows fewer devices in all.

    Without tags the only set is the group, which leaves out other devices of a site: neither is within the other.
    """
    if old.percent is not None and new.percent is not None:
        return set(new.by) == set(old.by) and new.percent <= old.percent
    if old.count is None or new.count is None or bool(old.by) != bool(new.by):
        return False
    return set(new.by) <= set(old.by) and new.count <= old.count


def _window_text(policy: Policy) -> str | None:
    window = policy.window
    if window is None:
        return None
    days = " ".join(_DAYS[day] for day in window.days)
    return f"{days} {_clock(window.start_min)} to {_clock(window.end_min)} {window.zone}"


def _window_looser(old: Policy, new: Policy) -> bool:
    if old.window is None or new.window is None:
        return old.window is not None
    return old.window.zone != new.window.zone or not _minutes(new.window) <= _minutes(old.window)


def _minutes(window: Window) -> set[int]:
    """The minutes of the week in which it is open."""
    length = (window.end_min - window.start_min) % _DAY
    begins = (day * _DAY + window.start_min for day in window.days)
    return {(begin + minute) % (7 * _DAY) for begin in begins for minute in range(length)}


# --- text -------------------------------------------------------------------------------------------------------


def _number(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _duration(seconds: int) -> str:
    for unit, least, letter in _UNITS:
        if seconds >= unit * least and seconds % unit == 0:
            return f"{seconds // unit}{letter}"
    return f"{seconds}s"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


KEYS: Final[Mapping[str, Key]] = {
    "waves": Key(_waves_text, _waves_looser),
    "gate.converged": Key(
        lambda one: _number(one.gate.converged), lambda old, new: new.gate.converged < old.gate.converged
    ),
    "gate.soak": Key(lambda one: _duration(one.gate.soak_s), lambda old, new: new.gate.soak_s < old.gate.soak_s),
    "gate.sample": Key(lambda one: str(one.gate.sample), lambda old, new: new.gate.sample < old.gate.sample),
    "patience": Key(lambda one: _duration(one.patience_s), lambda old, new: new.patience_s > old.patience_s),
    "budget": Key(_budget_text, _budget_looser),
    "window": Key(_window_text, _window_looser),
}
