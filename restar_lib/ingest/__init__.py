"""From raw rows to reviews: sources, cleaning, the upsert. Nothing read is ever lost: a row ends in exactly one outcome."""
