"""The labeling queue: tasks, leases, labels and their consensus.

In: selected reviews, and what people do (claim, submit, skip, undo, release). Out: finished labels, and audit labels
as a fair sample. Which reviews deserve a person is `selection`'s; pages are `desk`'s.
"""
