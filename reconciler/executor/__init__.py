"""Carrying out a plan: what is sent when, what became of it, and the result that tells."""

from reconciler.executor.execution import Execution
from reconciler.executor.journal import Observer, Quiet
from reconciler.executor.result import CallResult, CallState, Moved, Result, Unconfirmed, not_started

__all__ = ["CallResult", "CallState", "Execution", "Moved", "Observer", "Quiet", "Result", "Unconfirmed", "not_started"]
