"""The content of a stored file: plain, gzip, bzip2, zstd or a zip of one table by its first bytes, not by its name.

Reads forward in constant memory; going back means reading from the start again, so readers avoid it. A file whose
compression is damaged or cut off is a `SourceError` that names it, raised after everything before the damage was
returned. It knows nothing of lines or rows, and writes nothing.
"""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

import zstandard

from restar_lib.errors import SourceError
from restar_lib.ingest.readers.storage import PACKED, PLAIN_ENDINGS, StoredFile

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_INPUT_BYTES = 4096
"""Unpacked at once: a decompressor returns all that its input holds, and a hostile file grows a thousandfold."""
BUFFER_BYTES = 128 << 10
PIECE_BYTES = 1024
BZIP2_MAGIC = b"BZh"
ZIP_MAGIC = b"PK\x03\x04"
WORKBOOK: Final = "xl/workbook.xml"
"""In every spreadsheet, which is a zip as well."""
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError, zipfile.BadZipFile)

Content = io.BufferedReader | gzip.GzipFile | bz2.BZ2File


@dataclass(frozen=True, kw_only=True)
class OpenedFile:
    """What a file holds when it is unpacked."""

    name: str
    """In lower case and without what packed it: of a zip, the name of the table in it."""
    content: Content
    is_packed: bool
    """Whether it was; else reading may begin at any byte."""


@contextmanager
def open_content(file: StoredFile) -> Iterator[OpenedFile]:
    """The uncompressed content of `file`, and a named error for whatever goes wrong while it is read."""
    try:
        with file.open() as raw:
            yield _unpacked(file, raw)
    except DAMAGED as error:
        raise SourceError(
            f"{file.address}: the compressed file is damaged ({error}); what came before that is read and kept. "
            "Put the whole file in its place, or move it away, and run again"
        ) from error
    except UnicodeError as error:
        raise SourceError(
            f"{file.address}: it is not written in the encoding that was set or found ({error}); set source.encoding, "
            "such as utf-16-le where there is no mark at its beginning"
        ) from error
    except OSError as error:
        raise SourceError(
            f"{file.address}: {error.strerror or error}; make it readable, or move it away, and run again"
        ) from error


def beginning(content: Content, size: int) -> bytes:
    """So many bytes of the beginning at most; where the file is damaged, those before the damage."""
    content.seek(0)
    pieces, left = [], size
    with suppress(*DAMAGED):
        while left > 0 and (piece := content.read1(min(left, PIECE_BYTES))):
            pieces.append(piece)
            left -= len(piece)
    return b"".join(pieces)


def _unpacked(file: StoredFile, raw: BinaryIO) -> OpenedFile:
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(_Raw(raw), BUFFER_BYTES)
    magic, name = buffered.peek(4)[:4], file.name.lower()
    bare = next((name.removesuffix(packed) for packed in PACKED if name.endswith(packed)), name)
    if magic.startswith(GZIP_MAGIC):
        return OpenedFile(name=bare, content=gzip.GzipFile(fileobj=buffered), is_packed=True)
    if magic == ZSTD_MAGIC:
        unpacked: io.BufferedReader = io.BufferedReader(_Zstd(buffered), BUFFER_BYTES)
        return OpenedFile(name=bare, content=unpacked, is_packed=True)
    if magic.startswith(BZIP2_MAGIC):
        return OpenedFile(name=bare, content=bz2.BZ2File(buffered), is_packed=True)
    if magic == ZIP_MAGIC:
        return _unzipped(file, buffered)
    return OpenedFile(name=bare, content=buffered, is_packed=False)


def _unzipped(file: StoredFile, buffered: io.BufferedReader) -> OpenedFile:
    """The one table in a zip; a spreadsheet as it is. Raises `SourceError` where there are several, or none."""
    archive = zipfile.ZipFile(buffered)
    names = [one.filename for one in archive.infolist() if not one.is_dir()]
    if WORKBOOK in names:
        buffered.seek(0)
        return OpenedFile(name=file.name.lower(), content=buffered, is_packed=False)
    tables = [name for name in names if name.lower().endswith(PLAIN_ENDINGS) and not _is_hidden(name)]
    if len(tables) != 1:
        found = ", ".join((tables or names)[:5]) + (", ..." if len(tables or names) > 5 else "")
        raise SourceError(
            f"{file.address}: a zip is read where it holds one table ({', '.join(PLAIN_ENDINGS)}); this one holds "
            f"{len(tables) or 'none'}: {found}. Unpack it into a folder and name that. Nothing of this file was read"
        )
    try:
        table = archive.open(tables[0])
    except (RuntimeError, NotImplementedError) as error:  # a password, or a rare method of compression
        raise SourceError(f"{file.address}: {error}; unpack it. Nothing of this file was read") from error
    return OpenedFile(
        name=tables[0].lower(), content=io.BufferedReader(cast("io.RawIOBase", table), BUFFER_BYTES), is_packed=True
    )


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


class _Raw(io.RawIOBase):
    """An opened file of some storage, with the interface that `io.BufferedReader` needs."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Storages seek by asking for a range."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer as far as there is something."""
        try:
            read = self._file.read(len(buffer))
        except OSError:
            raise
        except Exception as error:  # each storage has its own errors; the readers expect OSError
            raise OSError(f"{type(error).__name__}: {error}") from error
        buffer[: len(read)] = read
        return len(read)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to any position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._file.tell()


class MadeContent(io.RawIOBase):
    """Content that is made of other content, from its beginning on: going back means making it again."""

    def __init__(self, made_of: Content) -> None:
        self._made_of = made_of
        self._begin()

    def _begin(self) -> None:
        self._made_of.seek(0)
        self._ready = memoryview(b"")
        self._position = 0
        self.begin()

    def begin(self) -> None:
        """Forget what was made so far."""
        raise NotImplementedError

    def make(self) -> bytes:
        """The next bytes; b"" at the end."""
        raise NotImplementedError

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Forward by reading on, backward from the beginning."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Some bytes more; 0 at the end."""
        if not self._ready:
            self._ready = memoryview(self.make())
        taken = self._ready[: len(buffer)]
        buffer[: len(taken)] = taken
        self._ready = self._ready[len(taken) :]
        self._position += len(taken)
        return len(taken)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position that counts from the beginning, or from the current one."""
        target = offset + (self._position if whence == io.SEEK_CUR else 0)
        if target < self._position:
            self._begin()
        scratch = memoryview(bytearray(BUFFER_BYTES))
        while self._position < target and self.readinto(scratch[: target - self._position]):
            pass
        return self._position

    def tell(self) -> int:
        """How many bytes were returned."""
        return self._position


class _Zstd(MadeContent):
    """What a zstd file holds, over all its frames; a file that ends inside a frame is an `EOFError`.

    Not `zstandard`'s own `stream_reader`: that one takes a file that was cut off for a whole one, and cannot go back.
    """

    def begin(self) -> None:
        """No frame is open."""
        self._frame: zstandard.ZstdDecompressionObj | None = None

    def make(self) -> bytes:
        """The next bytes, b"" at the end of the last frame."""
        unpacked = b""
        while not unpacked and (packed := self._made_of.read(ZSTD_INPUT_BYTES)):
            parts = []
            while packed:
                self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
                parts.append(self._frame.decompress(packed))
                packed = self._frame.unused_data if self._frame.eof else b""
                self._frame = None if self._frame.eof else self._frame
            unpacked = b"".join(parts)
        if not unpacked and self._frame is not None:
            raise EOFError("the file ends inside a zstd frame")
        return unpacked
