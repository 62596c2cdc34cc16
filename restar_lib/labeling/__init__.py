"""The labeling queue: tasks, leases, labels, consensus, and who may do what with a task."""
