"""Renders status, plans and results as one HTML page each: a single file that asks nobody for anything.

The views (`status.py`, `plan.py`, `result.py`) turn documents into what a page shows; the templates lay it out. A page
of a fleet lists rows up to a limit, which it says, and counts the others (`room.py`).
"""
