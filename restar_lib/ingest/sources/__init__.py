"""Where reviews come from: files, the hub, a published training set, the simulator; all look alike to `ingest.load`.

In: section `source` of the settings (`configured.open_source`) and a cursor. Out: raw rows behind the cursor.
"""
