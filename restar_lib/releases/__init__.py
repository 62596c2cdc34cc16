"""Changing the champion: release, roll back, reconcile.

In: a sealed version that may serve. Out: one row of the release log, the pointer that follows it, MLflow's alias, and
the serving API's confirmation. Whether it may serve is the gate's word.
"""
