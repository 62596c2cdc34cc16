"""Fine-tuning of the whole network, or of adapters in it, by the Hugging Face Trainer; on one device or several.

In: a network with a fitted head and one `FineTuningJob`. Out: the network in its best state on the validation rows.
"""
