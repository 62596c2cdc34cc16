"""What stands in for the world in `make run`: labelers that answer by themselves, and real files replayed by time.

In: the queue, or files of real reviews. Out: labels marked as `demo`, and rows that arrive slice by slice. Production
uses nothing of it.
"""
