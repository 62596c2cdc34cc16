"""Behaviour cases: small texts of our own that say how a model must behave (`include/behaviour/*.yaml`).

In: the YAML files and a model. Out: which cases hold, by group. Floors are the gate's.
"""
