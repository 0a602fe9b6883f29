"""The steps of a pipeline, independent of the CI system; an adapter (`github.py`) implements each system."""
