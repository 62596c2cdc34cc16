"""MLflow's database is gone: nothing waits for it, and what it missed it is told later."""

from __future__ import annotations

from psycopg import sql

from restar_lib.registry import artifact, mlflow_log
from restar_lib.registry.release import current
from tests.faults import trials, world
from tests.faults.picture import difference, picture
from tests.faults.story import Story

GONE = "mlflow_gone"


def test_a_challenger_is_released_without_mlflow_and_caught_up_with(story: Story) -> None:
    """The end is that of a release beside a living MLflow; once there is one again, it holds every version."""
    url = story.server.url(GONE)
    here = story.another("release", "mlflow_away", RESTAR_DATABASE__MLFLOW_URL=url)
    trials.run_again(here, "release")
    assert difference(story.chapter("release").after, picture(here)) == []
    assert "nothing else depends on it, and housekeeping catches up" in (here.folder / "output.txt").read_text()

    story.server.create_databases(GONE)
    with here.engine() as engine:
        champion = current(engine)
    assert champion is not None
    held = mlflow_log.catch_up(here.settings, champion=champion.model_version)
    assert held == len(artifact.versions(here.settings.models_dir))
    with story.server.connect("postgres") as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(GONE)))
    world.drop(story.server, here)
