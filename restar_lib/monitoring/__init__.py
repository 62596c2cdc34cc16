"""Drift, alerts and the mails about them."""
