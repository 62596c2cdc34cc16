"""MLflow's database is gone: a release ends as beside a living one, and says so once.

That MLflow is told later is `tests/postgres/test_release_mlflow`'s.
"""

from __future__ import annotations

from tests.faults import trials, world
from tests.faults.picture import difference, picture
from tests.faults.story import Story


def test_a_challenger_is_released_without_mlflow(story: Story) -> None:
    """Tables, files and log are those of a release beside a living MLflow; one warning names what it missed."""
    gone = story.server.url("mlflow_that_is_gone")
    here = story.another("release", "mlflow_away", RESTAR_DATABASE__MLFLOW_URL=gone)
    trials.run_again(here, "release")
    assert difference(story.chapter("release").after, picture(here)) == []
    assert "nothing else depends on it, and housekeeping catches up" in (here.folder / "output.txt").read_text()
    world.drop(story.server, here)
