"""The artifact folder: sealed whole, named by its content, and refused by name when a file is missing or altered."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from restar_lib.artifacts import sealed_folder
from restar_lib.atomic_files import write_text
from restar_lib.errors import ArtifactError
from tests.tiny_model import make_tiny_model, sealed_tiny_model


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder that does not exist yet."""
    return tmp_path / "models"


def test_a_sealed_model_is_named_by_its_content(models: Path) -> None:
    """The same files give the same version, other files give another one."""
    first = sealed_tiny_model(models)
    again = sealed_tiny_model(models)
    other = sealed_tiny_model(models, bias=(0.0, 0.0, 1.0))
    assert first == again
    assert first.name != other.name
    assert set(sealed_folder.versions(models)) == {first.name, other.name}
    assert not list(models.glob(".*")), "no work folder is left behind"


def test_a_sealed_model_verifies(models: Path) -> None:
    """Every file is in the manifest with its size."""
    folder = sealed_tiny_model(models)
    files = sealed_folder.verify(folder)
    assert set(files) == set(sealed_folder.REQUIRED)
    assert files["model.onnx"].bytes == (folder / "model.onnx").stat().st_size


@pytest.mark.parametrize("name", [*sealed_folder.REQUIRED, sealed_folder.MANIFEST])
def test_a_missing_file_is_refused_by_name(models: Path, name: str) -> None:
    """The error says which file is gone."""
    folder = sealed_tiny_model(models)
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"file {name} is missing"):
        sealed_folder.verify(folder)


@pytest.mark.parametrize("name", sealed_folder.REQUIRED)
def test_an_altered_file_is_refused_by_name(models: Path, name: str) -> None:
    """One flipped bit of the same length is enough."""
    folder = sealed_tiny_model(models)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"file {name} was altered"):
        sealed_folder.verify(folder)


def test_a_file_that_was_added_later_is_refused_by_name(models: Path) -> None:
    """What is learned after sealing belongs into a sibling."""
    folder = sealed_tiny_model(models)
    (folder / "notes.txt").write_text("the best one")
    with pytest.raises(ArtifactError, match=r"file notes.txt was added after sealing"):
        sealed_folder.verify(folder)


def test_a_manifest_rewritten_to_fit_altered_files_is_refused(models: Path) -> None:
    """The version is the hash of the content, so a forged manifest names another version."""
    folder = sealed_tiny_model(models)
    other = sealed_tiny_model(models, bias=(1.0, 0.0, 0.0))
    shutil.rmtree(folder)
    shutil.copytree(other, folder)
    with pytest.raises(ArtifactError, match=f"belongs to {other.name}"):
        sealed_folder.verify(folder)


@pytest.mark.parametrize("content", ["", "[]", '{"files": {"model.onnx": 3}}', "{"])
def test_a_broken_manifest_is_refused_by_name(models: Path, content: str) -> None:
    """Whatever stands in it, the error is ours and names the file."""
    folder = sealed_tiny_model(models)
    (folder / sealed_folder.MANIFEST).write_text(content)
    with pytest.raises(ArtifactError, match=r"file manifest.json was altered"):
        sealed_folder.verify(folder)


def test_a_link_in_a_model_folder_is_refused(models: Path) -> None:
    """What a link points at could change after the check."""
    folder = sealed_tiny_model(models)
    (folder / "model.onnx").rename(models / "elsewhere")
    (folder / "model.onnx").symlink_to(models / "elsewhere")
    with pytest.raises(ArtifactError, match=r"model.onnx is not a plain file"):
        sealed_folder.verify(folder)


def test_an_incomplete_work_folder_is_never_sealed(models: Path) -> None:
    """The missing file is named and no version appears."""
    work = make_tiny_model(sealed_folder.new_work_folder(models))
    (work / "probe.json").unlink()
    with pytest.raises(ArtifactError, match=r"probe.json is missing"):
        sealed_folder.seal(work, models)
    assert sealed_folder.versions(models) == ()


class Note:
    """Something that belongs beside a model."""

    def write(self, models_dir: Path, version: str) -> None:
        """As the record of a training is written."""
        write_text(sealed_folder.sibling(models_dir, version, "note"), "of this model")


def _seal_and_die(work: Path, models: Path, survive: int) -> None:
    """Seal, but die instead of the call number `survive` that flushes or renames."""
    calls = 0

    def dying(call):  # noqa: ANN001, ANN202
        def run(*arguments, **options):  # noqa: ANN002, ANN003, ANN202
            nonlocal calls
            calls += 1
            if calls > survive:
                os._exit(9)
            return call(*arguments, **options)

        return run

    os.fsync, os.replace, os.rename = dying(os.fsync), dying(os.replace), dying(os.rename)
    sealed_folder.seal(work, models, beside=[Note()])
    os._exit(0)


def test_a_seal_killed_at_any_step_shows_nothing_or_a_whole_model(models: Path) -> None:
    """Killed before each flush and rename in turn, a version is absent, or verifies and has what belongs beside it.

    Sealing again succeeds.
    """
    context = multiprocessing.get_context("fork")
    outcomes = set()
    for survive in range(40):
        shutil.rmtree(models, ignore_errors=True)
        work = make_tiny_model(sealed_folder.new_work_folder(models))
        child = context.Process(target=_seal_and_die, args=(work, models, survive))
        child.start()
        child.join(30)
        shown = [path for path in models.glob("rs-*") if path.is_dir()]
        for folder in shown:
            sealed_folder.verify(folder)
            assert sealed_folder.sibling(models, folder.name, "note").read_text() == "of this model"
        outcomes.add((child.exitcode, len(shown)))
        again = sealed_folder.seal(make_tiny_model(sealed_folder.new_work_folder(models)), models)
        assert sealed_folder.versions(models) == (again,)
        if child.exitcode == 0:
            break
    assert outcomes == {(9, 0), (9, 1), (0, 1)}, "killed before and after the rename, and not at all"


@pytest.mark.parametrize("name", ["", "..", "../models", "rs-", "rs-0123456789", "/etc"])
def test_only_sealed_versions_can_be_located(models: Path, name: str) -> None:
    """A version comes from people; it never becomes another path, and the message says what there is."""
    known = sealed_tiny_model(models).name
    with pytest.raises(ArtifactError, match=known):
        sealed_folder.locate(models, name)


def test_old_versions_spare_the_newest_and_those_in_use(models: Path) -> None:
    """Champion and previous are never offered for deletion, however old they are."""
    names = []
    for index in range(5):
        folder = sealed_tiny_model(models, temperature=1.0 + index)
        os.utime(folder / sealed_folder.MANIFEST, (index, index))
        names.append(folder.name)
    assert sealed_folder.versions(models) == tuple(names)
    assert sealed_folder.old_versions(models, in_use={names[0]}, keep=2) == (names[1], names[2])
    assert sealed_folder.old_versions(models, in_use=set(), keep=10) == ()


def test_a_deleted_version_is_gone_with_its_siblings(models: Path) -> None:
    """Nothing of it can be located, verified or listed."""
    folder, stays = sealed_tiny_model(models), sealed_tiny_model(models, bias=(0.0, 1.0, 0.0))
    sealed_folder.sibling(models, folder.name, "verdict.json").write_text(json.dumps({"passed": False}))
    sealed_folder.delete(models, folder.name)
    assert sealed_folder.versions(models) == (stays.name,)
    assert [path.name for path in models.iterdir()] == [stays.name]


def test_only_old_work_folders_count_as_abandoned(models: Path) -> None:
    """A training that is running keeps its folder."""
    work = sealed_folder.new_work_folder(models)
    now = datetime.fromtimestamp(work.stat().st_mtime, tz=UTC)
    assert sealed_folder.abandoned(models, now=now + timedelta(hours=3)) == ()
    assert sealed_folder.abandoned(models, now=now + timedelta(days=3)) == (work,)


def test_a_file_beside_no_model_is_an_orphan(models: Path) -> None:
    """A seal that was killed before its rename leaves one, and so does a deletion."""
    folder = sealed_tiny_model(models)
    for version in (folder.name, "rs-0123456789"):
        sealed_folder.sibling(models, version, "run.json").touch()
    (models / "notes.txt").touch()
    assert sealed_folder.orphans(models) == (models / "rs-0123456789.run.json",)
