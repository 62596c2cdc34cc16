"""The gate: whether a challenger may serve, with every reason. A refusal is a good answer.

In: a sealed challenger, the champion of this moment, a snapshot. Out: a stored verdict with a line for every
criterion (`gate.judge`), and its page. It releases nothing (`releases` does) and trains nothing.
"""
