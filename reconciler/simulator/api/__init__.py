"""The API actions that the simulator implements."""
