"""The encoding of a file, and its content as UTF-8: UTF-16 by its mark, Windows-1252 and others by their bytes.

A file is UTF-8 unless something else is certain: a mark at its beginning, zeros in every other byte, or lines that are
no UTF-8 while none with an accent is. Then Windows-1252 is taken where the bytes make plausible words of Western
Europe, another encoding where charset-normalizer recognises a language in it; what stays doubtful is refused with the
key to set. A few broken bytes in a file of UTF-8 are not its encoding: those rows end in quarantine one by one.
It knows nothing of rows. Called by `readers.tables`.
"""

from __future__ import annotations

import codecs
import io
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from restar_lib.errors import SourceError
from restar_lib.ingest.readers.compression import BUFFER_BYTES, DAMAGED, Content

UTF_8: Final = "utf-8"
WINDOWS: Final = "cp1252"
CENTRAL: Final = "cp1250"
LOOKED_AT_BYTES: Final = 256 << 20
"""So much of a file is searched for bytes that are no UTF-8."""
EVIDENCE_BYTES: Final = 64 << 10
"""So many bytes of such lines are looked at."""
LEAST_BYTES: Final = 8
"""Shorter lines are no texts, but rests of something."""
MAX_ZEROS: Final = 0.4
"""Of every other byte: with more it is UTF-16, where the characters that come out are mostly ASCII."""
BROKEN: Final = 0.01
"""A smaller share of the lines, in no encoding that is certain, are broken rows of UTF-8."""
SURE_COHERENCE: Final = 0.4
"""charset-normalizer's likeness to a language, 0 to 1. Texts of a dozen words in the right encoding had 0.45 to 0.75
(Russian, Greek, Turkish, Polish, French, German)."""
EUROPE = (WINDOWS, CENTRAL, "cp1254", "cp1257", "iso8859_2", "iso8859_15")
"""What plausible words of Western Europe may be written in."""
SURE_OF = ("cp125", "iso8859", "koi8")
"""Of the families of one byte a character. It mistakes those of old Macs and of DOS for each other, and texts of a few
Chinese, Japanese or Korean sentences too."""
SAME: Final = 0.02
"""Of its two figures: a smaller difference says nothing."""
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WESTERN = "àâäáãåæçèéêëìíîïñòóôöõøœùúûüýÿßšžÀÂÄÁÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÖÕØŒÙÚÛÜÝŸŠŽ"
_PUNCTUATION = "‘’‚“”„…–—•€™©®°£¥¢§¶½¼¾²³¹ºª«»¿¡´·×÷±µ¨¸¬¯†‡‰‹›ˆ˜\xa0\xad"
_NOT_PLAUSIBLE = re.compile(
    rf"[^\x00-\x7f{_WESTERN}{_PUNCTUATION}]"
    r"|[a-zà-öø-ÿœšž][À-ÖØ-ÞŒŠŽŸ]"  # a capital letter within a word
    rf"|[a-zA-Z][^\x00-\x7f{_WESTERN}’‘´\xad–—…×·][a-z]"  # a sign within a word
)
_WORD = re.compile(rf"[a-zA-Z{_WESTERN}]+")
_HIGH = re.compile(rf"[{_WESTERN}]")
_HUNGARIAN = frozenset("áéíóúöüõûÁÉÍÓÚÖÜÕÛ")
"""Its letters in cp1250, as cp1252 shows them: all of them are letters there."""
MAX_ODD: Final = 0.02
"""Of the signs beyond ASCII; in real English texts it was at most 0.008."""
MAX_ACCENTS: Final = 0.45
"""Of the letters in words with accents; in Cyrillic or Greek that is read as Windows-1252 it is nearly all."""


def marked_encoding(head: bytes) -> str:
    """The encoding that the first bytes say, by a mark or by zeros in every other byte; empty where they say none."""
    return next((name for mark, name in _MARKS if head.startswith(mark)), "") or _without_mark(head)


def find_encoding(content: Content, *, address: str) -> str:
    """What content without a mark is written in, `utf-8` where nothing speaks for something else.

    Raises `SourceError` where it is not UTF-8 and nothing else is certain.
    """
    content.seek(0)
    seen = _look_at_lines(content)
    content.seek(0)
    if seen.is_utf_8:
        return UTF_8
    sample = b"\n".join(seen.evidence)
    certain, guess = _guess(sample)
    if certain or seen.bad <= BROKEN * seen.lines:
        return certain or UTF_8
    shown = sample.decode("utf-8", "backslashreplace").strip()[:80]
    raise SourceError(
        f"{address}: its text is not UTF-8, and no other encoding is certain{f'; it may be {guess}' if guess else ''}. "
        f"Set source.encoding: {guess or WINDOWS}, or what it is. A line of it: {shown}. Nothing of this file was read"
    )


def as_utf_8(content: Content, encoding: str, *, cr_ends_lines: bool = False) -> Content:
    """The content in UTF-8, with newlines where carriage returns alone end the lines."""
    if encoding == UTF_8 and not cr_ends_lines:
        return content
    return io.BufferedReader(_Transcoded(content, encoding, cr_ends_lines=cr_ends_lines), BUFFER_BYTES)


class _Transcoded(io.RawIOBase):
    """Bytes of another encoding, as UTF-8; one that the encoding does not know becomes U+FFFD."""

    def __init__(self, content: Content, encoding: str, *, cr_ends_lines: bool) -> None:
        self._content, self._encoding, self._cr_ends_lines = content, encoding, cr_ends_lines
        self._rewind()

    def _rewind(self) -> None:
        self._content.seek(0)
        self._decoder = codecs.getincrementaldecoder(self._encoding)("replace")
        self._ready, self._position = memoryview(b""), 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Forward by reading on, backward from the beginning."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Some bytes more; 0 at the end."""
        while not self._ready:
            piece = self._content.read(BUFFER_BYTES)
            text = self._decoder.decode(piece, final=not piece)
            if self._cr_ends_lines:
                text = text.replace("\r", "\n")
            self._ready = memoryview(text.encode("utf-8", "surrogatepass"))
            if not piece:
                break
        taken = self._ready[: len(buffer)]
        buffer[: len(taken)] = taken
        self._ready = self._ready[len(taken) :]
        self._position += len(taken)
        return len(taken)

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
        """How many bytes of UTF-8 were returned."""
        return self._position


def _without_mark(head: bytes) -> str:
    """UTF-16 without its mark: Latin text has a zero in every other byte."""
    if len(head) < 8:
        return ""
    first, second = head[0::2].count(0) / len(head[0::2]), head[1::2].count(0) / len(head[1::2])
    if max(first, second) < MAX_ZEROS or min(first, second) > 0.05:
        return ""
    name = "utf-16-le" if second > first else "utf-16-be"
    text = head.decode(name, "replace")
    return name if sum(sign.isascii() for sign in text) > len(text) / 2 else ""


@dataclass(kw_only=True)
class _Seen:
    """The lines that are not ASCII."""

    lines: int = 0
    good: int = 0
    bad: int = 0
    evidence: list[bytes] = field(default_factory=list)
    kept: int = 0

    def add(self, block: bytes) -> None:
        """Count the lines of these bytes."""
        self.lines += block.count(b"\n")
        for line in () if block.isascii() else block.splitlines():
            if line.isascii() or len(line) < LEAST_BYTES:
                continue
            if _is_utf_8(line):
                self.good += 1
                continue
            self.bad += 1
            if self.kept < EVIDENCE_BYTES:
                self.evidence.append(line[:EVIDENCE_BYTES])
                self.kept += len(line)

    @property
    def is_utf_8(self) -> bool:
        """Whether most of the lines that tell are UTF-8."""
        return self.bad <= self.good


def _look_at_lines(content: Content) -> _Seen:
    seen, left, rest = _Seen(), LOOKED_AT_BYTES, b""
    while left > 0 and (block := _next_block(content)):
        left -= len(block)
        block = rest + block
        end = max(block.rfind(b"\n"), block.rfind(b"\r")) + 1
        if end == 0 and len(block) < EVIDENCE_BYTES * 4:
            rest = block
            continue
        seen.add(block[: end or len(block)])
        rest = block[end or len(block) :]
    seen.add(rest)
    return seen


def _next_block(content: Content) -> bytes:
    with suppress(*DAMAGED):  # where the file is damaged, its rows are read up to there
        return content.read(EVIDENCE_BYTES)
    return b""


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _guess(sample: bytes) -> tuple[str, str]:
    """The encoding that is certain, and the one that is likely; empty where there is none."""
    from charset_normalizer import from_bytes

    text = sample.decode(WINDOWS, "replace")
    is_western = _is_western(text)
    # Most accents of German and French have the same bytes in both: then there is nothing to choose.
    if is_western and (not _HIGH.search(text) or text == sample.decode(CENTRAL, "replace")):
        return WINDOWS, WINDOWS
    matches = from_bytes(sample, cp_isolation=[*EUROPE] if is_western else None)
    best = matches.best()
    if best is None:
        return (WINDOWS, WINDOWS) if is_western else ("", "")
    is_hungarian = best.encoding == CENTRAL and best.language == "Hungarian"
    if is_western and not (is_hungarian and set(_HIGH.findall(text)) <= _HUNGARIAN):
        alike = [one for one in matches if one.chaos <= best.chaos + SAME and one.coherence >= best.coherence - SAME]
        if any(str(one) == text or WINDOWS in one.could_be_from_charset for one in alike):
            return WINDOWS, WINDOWS
    is_sure = best.coherence >= SURE_COHERENCE and best.encoding.startswith(SURE_OF)
    return best.encoding if is_sure else "", best.encoding


def _is_western(text: str) -> bool:
    """Whether bytes that were read as Windows-1252 make plausible words of Western Europe."""
    odd = len(_NOT_PLAUSIBLE.findall(text))
    if odd > MAX_ODD * sum(not sign.isascii() for sign in text):
        return False
    words = [word for word in _WORD.findall(text) if _HIGH.search(word) and len(word) > 1]
    accents = sum(len(_HIGH.findall(word)) for word in words)
    return accents <= MAX_ACCENTS * sum(map(len, words))
