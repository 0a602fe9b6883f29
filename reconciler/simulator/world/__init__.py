"""What the simulator's account holds: applications, devices, flows, and the devices' own life."""
