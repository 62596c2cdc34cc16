"""Makes the source that the configuration names: one of the four kinds of `ingest.sources`.

Nothing is opened before its rows are read. Called by the DAG, the command line and the embedded feeds.
"""

from __future__ import annotations

from restar_lib.errors import ConfigurationError
from restar_lib.ingest.raw_rows import FieldMapping
from restar_lib.ingest.sources.base import Source, Window
from restar_lib.ingest.sources.files import FilesSource
from restar_lib.ingest.sources.hub import HubSource
from restar_lib.ingest.sources.hub_files import HubFiles
from restar_lib.ingest.sources.published import SnapshotSource
from restar_lib.ingest.sources.simulated import SimulatedSource
from restar_lib.settings import Settings


def open_source(settings: Settings, *, window: Window | None = None) -> Source:
    """The configured source; nothing is opened before its rows are read.

    With a `window`, only the reviews written in it are read and no cursor moves. Raises `ConfigurationError` where the
    source cannot do that.
    """
    config = settings.source
    if window is not None and config.kind != "files":
        raise ConfigurationError(
            f"source.kind = {config.kind}: only files can be read by a window of time (a backfill, source.by, "
            "--since); run ingest_reviews by hand without one, and it goes on from the cursor"
        )
    if config.kind == "hub":
        mapping = FieldMapping.from_config(config.fields)
        return HubSource(
            name=config.name, config=settings.hub, mapping=mapping, files=HubFiles.from_config(settings.hub)
        )
    if config.kind == "files":
        mapping = FieldMapping.from_config(config.fields)
        return FilesSource(name=config.name, path=config.path, mapping=mapping, storage=config.storage, window=window)
    if config.kind == "snapshot":
        return SnapshotSource.from_settings(settings)
    return SimulatedSource(name=config.name, config=settings.simulated)
