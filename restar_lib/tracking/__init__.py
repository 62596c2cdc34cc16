"""Versions and how they came about: MLflow's runs and registry, training records, and comparing two versions.

In: sealed folders and what lies beside them. Out: MLflow's entries, lists and comparisons. MLflow decides nothing:
where it is away, the loop goes on.
"""
