"""The simulated account: applications, devices and flows, and how devices behave."""
