"""Model versions: the artifact folder, MLflow's log, the release log and the atomic swap."""
