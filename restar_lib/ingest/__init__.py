"""From raw rows to stored reviews: every row that is read ends in exactly one outcome.

In: a configured source (`sources/`, which read forms of files through `readers/`) and the stored cursor. Out:
reviews, quarantined rows, and the cursor, committed in one transaction (`load`). It labels and scores nothing.
"""
