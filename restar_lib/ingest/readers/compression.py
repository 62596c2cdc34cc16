"""The content of a stored file: plain, gzip or zstd by its first bytes, whatever its name says.

Reads forward in constant memory; going back means reading from the start again, so readers avoid it. A file whose
compression is damaged or cut off is a `SourceError` that names it, raised after everything before the damage was
returned. It knows nothing of lines or rows, and writes nothing.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import zstandard

from restar_lib.errors import SourceError
from restar_lib.ingest.readers.storage import StoredFile

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_INPUT_BYTES = 4096
"""Unpacked at once: a decompressor returns all that its input holds, and a hostile file grows a thousandfold."""
BUFFER_BYTES = 128 << 10
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)

Content = io.BufferedReader | gzip.GzipFile


@contextmanager
def open_content(file: StoredFile) -> Iterator[Content]:
    """The uncompressed content of `file`, and a named error for whatever goes wrong while it is read."""
    try:
        with file.open() as raw:
            yield _content(raw)
    except DAMAGED as error:
        raise SourceError(
            f"{file.address}: the compressed file is damaged ({error}); what came before that is read and kept. "
            "Put the whole file in its place, or move it away, and run again"
        ) from error
    except OSError as error:
        raise SourceError(
            f"{file.address}: {error.strerror or error}; make it readable, or move it away, and run again"
        ) from error


def is_plain(content: Content) -> bool:
    """Whether this is the file itself, so that reading may begin at any byte."""
    return not isinstance(content, gzip.GzipFile) and not isinstance(content.raw, _Zstd)


def _content(raw: BinaryIO) -> Content:
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(_Raw(raw), BUFFER_BYTES)
    magic = buffered.peek(4)[:4]
    if magic.startswith(GZIP_MAGIC):
        return gzip.GzipFile(fileobj=buffered)
    return io.BufferedReader(_Zstd(buffered), BUFFER_BYTES) if magic == ZSTD_MAGIC else buffered


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


class _Zstd(io.RawIOBase):
    """What a zstd file holds, over all its frames; a file that ends inside a frame is an `EOFError`.

    Not `zstandard`'s own `stream_reader`: that one takes a file that was cut off for a whole one, and cannot go back.
    """

    def __init__(self, packed: io.BufferedReader) -> None:
        self._packed = packed
        self._rewind()

    def _rewind(self) -> None:
        self._packed.seek(0)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._ready = memoryview(b"")
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Forward by reading, backward by reading again."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Some bytes more; 0 at the end."""
        if not self._ready:
            self._ready = memoryview(self._unpack())
        taken = self._ready[: len(buffer)]
        buffer[: len(taken)] = taken
        self._ready = self._ready[len(taken) :]
        self._position += len(taken)
        return len(taken)

    def _unpack(self) -> bytes:
        """The next bytes, b"" at the end of the last frame."""
        unpacked = b""
        while not unpacked and (packed := self._packed.read(ZSTD_INPUT_BYTES)):
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

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position that counts from the beginning, or from the current one."""
        target = offset + (self._position if whence == io.SEEK_CUR else 0)
        if target < self._position:
            self._rewind()
        scratch = memoryview(bytearray(BUFFER_BYTES))
        while self._position < target and self.readinto(scratch[: target - self._position]):
            pass
        return self._position

    def tell(self) -> int:
        """How many unpacked bytes were returned."""
        return self._position
