"""`restar metrics`: the loop in numbers, for Prometheus.

In: the database, and Airflow's health. Out: gauges over HTTP, on an address for inner use alone.
"""
