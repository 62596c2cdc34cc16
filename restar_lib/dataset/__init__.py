"""Training sets: truths, sides of the split, leakage guards, immutable snapshots."""
