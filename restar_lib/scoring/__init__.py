"""Batch scoring: the champion reads every new review once, and the doubtful ones go to the labeling queue.

In: reviews that no version has read (`pending`). Out: rows of table `prediction`, tasks. The engine is `inference`'s.
"""
