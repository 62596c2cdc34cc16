"""What a model is worth: metrics on rows with a truth. Numbers only; the gate decides."""
