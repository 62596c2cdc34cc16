"""The whole configuration of one process: its sections, and the places that follow from them."""

from __future__ import annotations

from pathlib import Path

from restar_lib.settings.sections import (
    Database,
    Dataset,
    Embedded,
    Evaluation,
    Gate,
    Housekeeping,
    Hub,
    Ingest,
    Labeling,
    Mail,
    Monitoring,
    Orchestration,
    Release,
    Scoring,
    Section,
    Selection,
    Serving,
    Simulated,
    Source,
    Training,
    Webhook,
)

PROJECT_ROOT = Path(__file__).resolve().parent.parent.parent


class Settings(Section):
    """The whole configuration of one process."""

    profile: str = "default"
    home: Path = PROJECT_ROOT / "var"
    """All state: database, artifacts, snapshots, reports, mails, logs."""
    database: Database = Database()
    source: Source = Source()
    hub: Hub = Hub()
    simulated: Simulated = Simulated()
    ingest: Ingest = Ingest()
    dataset: Dataset = Dataset()
    training: Training = Training()
    scoring: Scoring = Scoring()
    selection: Selection = Selection()
    labeling: Labeling = Labeling()
    gate: Gate = Gate()
    evaluation: Evaluation = Evaluation()
    release: Release = Release()
    monitoring: Monitoring = Monitoring()
    mail: Mail = Mail()
    webhook: Webhook = Webhook()
    orchestration: Orchestration = Orchestration()
    serving: Serving = Serving()
    embedded: Embedded = Embedded()
    housekeeping: Housekeeping = Housekeeping()

    @property
    def models_dir(self) -> Path:
        """One folder per model version."""
        return self.home / "models"

    @property
    def snapshots_dir(self) -> Path:
        """One folder per snapshot."""
        return self.home / "snapshots"

    @property
    def published_dir(self) -> Path:
        """What was pushed without a hub: `datasets` and `models`."""
        return self.home / "published"

    @property
    def reports_dir(self) -> Path:
        """HTML reports by kind."""
        return self.home / "reports"

    @property
    def pointer_path(self) -> Path:
        """The file that says which version serves; it follows table `release` by one atomic rename."""
        return self.home / "serving" / "champion.json"

    @property
    def simulated_notice(self) -> str | None:
        """What every page, mail and log says where the reviews are made up."""
        return "simulated reviews" if self.source.kind == "simulated" else None
