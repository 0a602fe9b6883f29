"""Carrying out a plan: what is sent when, what became of it, and the result that tells."""

from reconciler.executor.execution import Execution
from reconciler.executor.journal import Observer, Quiet
from reconciler.executor.result import not_started

__all__ = ["Execution", "Observer", "Quiet", "not_started"]
