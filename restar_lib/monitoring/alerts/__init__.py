"""From what a look found to what people are told: incidents, alerts, and their delivery by mail and webhook, once each.

In: observations of the watch. Out: rows, mails, messages. It measures nothing.
"""
