"""The checks of `restar doctor`, by what they look at: the machine, the stored state, the processes.

In: `check.Examined`. Out: checks, each with a remedy. They change nothing.
"""
