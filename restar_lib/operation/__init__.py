"""What whoever operates an installation does: look whether all is well, back up, restore, and forget a person."""
