"""Erasing a person: their reviews, what was made of them, and every trace in files and training sets.

In: a user or review id. Out: deleted rows, rewritten or deleted files, a report, and tombstones so that no source
brings them back (`ingest.tombstones`).
"""
