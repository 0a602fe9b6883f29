"""The application layer: the commands as functions from files or rules, a gateway and options to values.

Nothing here prints, prompts or inspects the process. Approval is a callback, progress is an observer, and standard
input and the environment are passed in.
"""
