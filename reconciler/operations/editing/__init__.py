"""Edits of manifests by command: where a version is said, who else reaches that place, and the proof of each edit."""
