"""The whole configuration of one process: its sections, and the places that follow from them."""

from __future__ import annotations

from pathlib import Path

from restar_lib.settings.sections import (
    DatabaseSettings,
    DatasetSettings,
    EvaluationSettings,
    GateSettings,
    HubSettings,
    IngestSettings,
    LabelingSettings,
    ReleaseSettings,
    ScoringSettings,
    Section,
    SelectionSettings,
    SimulatedSettings,
    SourceSettings,
    TrainingSettings,
)
from restar_lib.settings.service_sections import (
    EmbeddedSettings,
    HousekeepingSettings,
    MailSettings,
    MonitoringSettings,
    OrchestrationSettings,
    ServingSettings,
    WebhookSettings,
)

PROJECT_ROOT = Path(__file__).resolve().parent.parent.parent


class Settings(Section):
    """The whole configuration of one process."""

    profile: str = "default"
    home: Path = PROJECT_ROOT / "var"
    """All state: database, artifacts, snapshots, reports, mails, logs."""
    database: DatabaseSettings = DatabaseSettings()
    source: SourceSettings = SourceSettings()
    hub: HubSettings = HubSettings()
    simulated: SimulatedSettings = SimulatedSettings()
    ingest: IngestSettings = IngestSettings()
    dataset: DatasetSettings = DatasetSettings()
    training: TrainingSettings = TrainingSettings()
    scoring: ScoringSettings = ScoringSettings()
    selection: SelectionSettings = SelectionSettings()
    labeling: LabelingSettings = LabelingSettings()
    gate: GateSettings = GateSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    release: ReleaseSettings = ReleaseSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    mail: MailSettings = MailSettings()
    webhook: WebhookSettings = WebhookSettings()
    orchestration: OrchestrationSettings = OrchestrationSettings()
    serving: ServingSettings = ServingSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    housekeeping: HousekeepingSettings = HousekeepingSettings()

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
    def asked_languages(self) -> tuple[str, ...]:
        """In which languages people are asked about stars that a training doubts; scoring looks at its model itself."""
        return self.selection.languages or self.training.languages

    @property
    def simulated_notice(self) -> str | None:
        """What every page, mail and log says where the reviews are made up."""
        return "simulated reviews" if self.source.kind == "simulated" else None
