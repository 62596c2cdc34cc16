"""From the fields of a raw row to a line to store, or a rejection with its reason: what of ingest needs no database.

In: fields by our names. Out: `copy_lines.CopyLine` or `clean.Rejection`; the work is done in processes beside the one
that reads and stores (`ingest.cleaning_pool`).
"""
