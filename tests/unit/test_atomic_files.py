"""Files that are replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from restar_lib.atomic_files import READABLE, atomic_write, write_bytes, write_text


def test_what_is_written_atomically_replaces_whole_files(tmp_path: Path) -> None:
    """The new content stands alone and no temporary file is left."""
    path = tmp_path / "folder" / "champion.json"
    write_text(path, "a much longer old content")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert [entry.name for entry in path.parent.iterdir()] == ["champion.json"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """Whatever was written before the error is gone, and the old content is still read."""
    path = tmp_path / "champion.json"
    write_bytes(path, b"old")

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"half of the new")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        fail()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["champion.json"]


def test_content_that_comes_in_pieces_is_not_seen_before_it_is_whole(tmp_path: Path) -> None:
    """Readers find the old content until the block ends."""
    path = tmp_path / "backup.tar"
    with atomic_write(path) as file:
        file.write(b"first, ")
        assert not path.exists()
        file.write(b"second")
    assert path.read_bytes() == b"first, second"


@pytest.mark.parametrize(("options", "mode"), [({}, 0o600), ({"mode": READABLE}, 0o644)])
def test_a_file_is_private_unless_its_writer_says_otherwise(tmp_path: Path, options: dict[str, int], mode: int) -> None:
    """Secrets and mails are written by the same function as pages."""
    write_text(tmp_path / "file", "content", **options)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
