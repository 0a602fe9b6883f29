"""Carrying out a plan: what is sent when, what became of it, and the result that tells."""

from reconciler.executor.execution import Execution
from reconciler.executor.journal import Observer, Quiet

__all__ = ["Execution", "Observer", "Quiet"]
