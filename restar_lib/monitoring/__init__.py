"""Watching: whether new reviews are still those that the champion was trained for, and whether it reads them well.

In: predictions, audit labels, the champion's reference. Out: one stored look for each run (`watch`, `watch_log`),
incidents and alerts (`alerts/`), and numbers for Prometheus (`exporter/`). It trains nothing.
"""
