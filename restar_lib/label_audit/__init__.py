"""`restar audit-stars`: which reviews carry stars that their text contradicts; the page, and asking people about them.

In: a snapshot read by the encoder, or what a training doubted. Out: an audit as page, JSON and CSV, and tasks with
reason `disagreement`. It changes no label.
"""
