"""What the operator of an installation does: doctor, backup, restore, housekeeping.

In: an installation. Out: checks with their remedies, a backup folder, a restored installation, deleted old rows and
files. Erasing a person is `privacy`'s.
"""
