"""What a person starts by hand beside an ingest.

In: the quarantine and today's settings. Out: reviews, stored as an ingest stores them. Nothing else in ingest needs it.
"""
