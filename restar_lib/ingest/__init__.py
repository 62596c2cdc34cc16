"""From raw rows to reviews: sources, cleaning, the upsert. Every row that is read ends in exactly one outcome."""
