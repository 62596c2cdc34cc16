"""The evaluation report of one version on one test side: measured, put into words, drawn, stored.

In: a sealed model, a snapshot. Out: the report as JSON (`evaluation.report_contents`) and a page drawn from it alone.
"""
