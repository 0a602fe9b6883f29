"""The lock beside manifests, `reconciler.lock`: read with every problem at its place, and written."""
