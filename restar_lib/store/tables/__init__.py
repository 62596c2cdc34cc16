"""All tables of Re*Star's database, typed; every module imports them from here, so that `Base.metadata` is complete.

They declare columns, keys, checks and indexes, and hold no statement (those are in the module that owns the table) and
no engine. A test compares the migrations with these tables and the enums here with those of Postgres.
"""

from restar_lib.store.tables.column_types import LABEL_SOURCE, REASON, SENTIMENT, SET_ASIDE, Base
from restar_lib.store.tables.erasure_tables import Forgotten, ForgottenPerson
from restar_lib.store.tables.label_tables import (
    Label,
    LabelSkip,
    LabelTask,
    LabelTaskTotal,
    SnapshotLabel,
    SnapshotRow,
)
from restar_lib.store.tables.model_tables import ReleaseRow, VerdictReview, VerdictRow
from restar_lib.store.tables.monitoring_tables import AlertDelivery, AlertRow, DriftReportRow, IncidentRow
from restar_lib.store.tables.review_tables import (
    IngestRun,
    PredictionRow,
    Quarantine,
    ReviewRow,
    SourceCursor,
    SourceFile,
)

__all__ = [
    "LABEL_SOURCE",
    "REASON",
    "SENTIMENT",
    "SET_ASIDE",
    "AlertDelivery",
    "AlertRow",
    "Base",
    "DriftReportRow",
    "Forgotten",
    "ForgottenPerson",
    "IncidentRow",
    "IngestRun",
    "Label",
    "LabelSkip",
    "LabelTask",
    "LabelTaskTotal",
    "PredictionRow",
    "Quarantine",
    "ReleaseRow",
    "ReviewRow",
    "SnapshotLabel",
    "SnapshotRow",
    "SourceCursor",
    "SourceFile",
    "VerdictReview",
    "VerdictRow",
]
