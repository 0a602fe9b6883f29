"""The steps of a pipeline, written once for every CI system; an adapter (`github.py`) knows how its system speaks."""
