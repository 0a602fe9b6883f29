"""The simulator as a server: requests, answers, control."""
