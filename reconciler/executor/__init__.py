"""Carries out a plan: sends its calls, confirms them by reads, and keeps a result that is valid at any time."""

from reconciler.executor.execution import Execution
from reconciler.executor.journal import Observer

__all__ = ["Execution", "Observer"]
