"""A stage is killed at a random moment and run again: the end is that of an undisturbed run."""

from __future__ import annotations

import random

import pytest

from tests.faults import trials, world
from tests.faults.ledger import Ledger
from tests.faults.picture import difference, picture
from tests.faults.stages import STAGES
from tests.faults.story import Story

SHORT, LONG = range(1), range(100, 120)


DRAWS = 6
"""Beside other work a stage may take less time than its undisturbed run took, and be over: then it is drawn again."""


def kill_and_run_again(story: Story, stage: str, seed: int) -> float:
    """One trial; returns after which share of the stage's time it was killed. Asserts how it ended."""
    chapter, rng = story.chapter(stage), random.Random(f"{stage} {seed}")
    moment = 1.0
    for _ in range(DRAWS):
        # Below the last draw: it was over by then.
        here, moment = story.another(stage, f"killed_{stage}_{seed}"), moment * rng.random()
        hit = trials.killed(here, stage, after=moment * chapter.seconds)
        if hit:
            trials.look(here)
            trials.run_again(here, stage)
            assert difference(chapter.after, picture(here)) == []
        world.drop(story.server, here)
        if hit:
            return moment
    pytest.fail(f"{stage} was over before each of {DRAWS} kills")


@pytest.mark.parametrize("seed", SHORT)
@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_ends_as_if_nothing_had_happened(story: Story, stage: str, seed: int) -> None:
    """Tables, files and release log; half-made things are never seen on the way."""
    kill_and_run_again(story, stage, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", LONG)
@pytest.mark.parametrize("stage", STAGES)
def test_twenty_kills_a_stage_end_as_if_nothing_had_happened(
    story: Story, ledger: Ledger, stage: str, seed: int
) -> None:
    """The same at length, with other seeds."""
    with ledger.trial("SIGKILL", stage, seed) as notes:
        notes["killed_at_share"] = round(kill_and_run_again(story, stage, seed), 3)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_runs_twice_at_once_has_one_effect(story: Story, stage: str) -> None:
    """A task is cleared while it runs, or two workers have it: the end is that of one run."""
    chapter = story.chapter(stage)
    here = story.another(stage, f"twice_{stage}")
    trials.twice_at_once(here, stage)
    assert difference(chapter.after, picture(here)) == []
    world.drop(story.server, here)
