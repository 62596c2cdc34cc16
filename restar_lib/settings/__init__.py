"""Typed configuration: YAML over defaults, environment over YAML, and where each value came from.

Layers, later ones win:

1. the typed defaults in `settings.sections`,
2. `include/config/default.yaml`, then `include/config/<profile>.yaml` (`RESTAR_PROFILE`, default `default`),
3. `<home>/embedded.yaml`, written by `make run` for the processes and terminals beside it (it also names the profile
   for those that are not told one), and `<home>/drill.yaml`,
   written by `restar drill`,
4. environment variables `RESTAR_<SECTION>__<KEY>` (values are parsed as YAML); before them HF_ENDPOINT and HF_TOKEN,
   which are the keys `hub.endpoint` and `hub.token`.

An unknown key or a value outside its range stops at start, naming key, value and range. It does not watch files:
a process keeps the settings that it started with.
"""

from restar_lib.settings.configuration import PROJECT_ROOT, Settings
from restar_lib.settings.loading import EMBEDDED, ENV_PREFIX, Loaded, load, process_environment, settings
from restar_lib.settings.sections import (
    DatabaseSettings,
    DatasetSettings,
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

__all__ = [
    "EMBEDDED",
    "ENV_PREFIX",
    "PROJECT_ROOT",
    "DatabaseSettings",
    "DatasetSettings",
    "EmbeddedSettings",
    "GateSettings",
    "HousekeepingSettings",
    "HubSettings",
    "IngestSettings",
    "LabelingSettings",
    "Loaded",
    "MailSettings",
    "MonitoringSettings",
    "OrchestrationSettings",
    "ReleaseSettings",
    "ScoringSettings",
    "Section",
    "SelectionSettings",
    "ServingSettings",
    "Settings",
    "SimulatedSettings",
    "SourceSettings",
    "TrainingSettings",
    "WebhookSettings",
    "load",
    "process_environment",
    "settings",
]
