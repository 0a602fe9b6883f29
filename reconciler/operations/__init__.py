"""The application layer: what the commands do, as functions from files or rules, a gateway and options to values.

Nothing here prints, asks or looks at the process. Approval is a callback, progress is an observer, and standard
input and the environment are passed in.
"""
