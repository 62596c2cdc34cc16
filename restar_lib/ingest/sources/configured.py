"""Makes the source that the configuration names: one of the four kinds of `ingest.sources`.

Nothing is opened before its rows are read. Called by the DAG, the command line and the embedded feeds.
"""

from __future__ import annotations

from restar_lib.errors import ConfigurationError
from restar_lib.ingest.cleaning.timestamps import DateOrder
from restar_lib.ingest.inspection.shape import FileOptions
from restar_lib.ingest.raw_rows import FieldMapping
from restar_lib.ingest.sources.base import Source, Window
from restar_lib.ingest.sources.files import FilesSource
from restar_lib.ingest.sources.hub import HubSource
from restar_lib.ingest.sources.hub_files import HubFiles
from restar_lib.ingest.sources.published import SnapshotSource
from restar_lib.ingest.sources.simulated import SimulatedSource
from restar_lib.settings import Settings, SourceSettings


def file_options(config: SourceSettings) -> FileOptions:
    """How the files of a source are read, as far as the configuration says it."""
    return FileOptions(
        mapping=FieldMapping.from_config(config.fields),
        encoding=config.encoding,
        rating_scale=config.rating_scale,
        date_order=DateOrder(config.date_order) if config.date_order else None,
        reviewed_at=config.reviewed_at,
        max_refused=config.max_refused,
    )


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
        options = file_options(config)
        return FilesSource(name=config.name, path=config.path, options=options, storage=config.storage, window=window)
    if config.kind == "snapshot":
        return SnapshotSource.from_settings(settings)
    return SimulatedSource(name=config.name, config=settings.simulated)
