"""Rollouts, pure: the wave of each device, where each device stands, which waves are open, what is sent and withheld.

Gates only withhold. The difference, its digest and its guards are those of the full plan; a rollout decides how much of
it is sent now. Its position is a function of the manifests, the inventory, one read with its logs, and the server's
time of that read: nothing is remembered, so an interrupted run loses nothing and two runners agree.

The data flows one way: `waves` (who is in which wave) and `evidence` (where a device stands, by the `marks` of its log
and its `history`) -> `tally` (how many stand where) -> `gates` (which waves pass) -> `position` (which waves are open,
and why not) -> `withhold` (which changes go now; the `budget` is asked there) -> `report` (what people read).
"""
