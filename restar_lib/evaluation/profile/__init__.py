"""The profile of a snapshot (`restar explore`): classes, lengths, words, near duplicates, leaks, time.

In: a snapshot. Out: JSON without any text of a review, and a page drawn from it. It judges no model.
"""
