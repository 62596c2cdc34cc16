"""Stars and texts that disagree: which stars most likely lie, and how much a training should believe them."""
