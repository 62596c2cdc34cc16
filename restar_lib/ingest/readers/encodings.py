"""The encoding of a file, and its content as UTF-8: UTF-16 by its mark, Windows-1252 and others by their bytes.

A file is UTF-8 unless something else is certain: a mark at its beginning, zeros in every other byte, or lines that are
no UTF-8 while none with an accent is. Then an encoding is certain that is the only one in which the bytes make words,
and a language that is written in it; what stays doubtful is refused with the key to set, and a guess. A few broken
bytes in a file of UTF-8 are not its encoding: those rows end in quarantine one by one.
It knows nothing of rows. Called by `readers.formats`.
"""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from restar_lib.errors import SourceError
from restar_lib.ingest.readers.compression import BUFFER_BYTES, DAMAGED, Content, MadeContent
from restar_lib.languages.identify import likeliest

UTF_8: Final = "utf-8"
WINDOWS: Final = "cp1252"
LATIN_9: Final = "iso8859_15"
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
MAX_ODD: Final = 0.02
"""Of the characters beyond ASCII; in real English texts of Windows-1252 it was at most 0.008."""
MIN_SURE: Final = 0.8
"""Least probability of the language that the words make."""
MAX_ACCENTS: Final = 0.5
"""Of the letters in words with accents; in Cyrillic or Greek that is read as Latin it is nearly all."""
LEAST_SHARE: Final = 0.3
"""Of the letters: a text in another script holds so many of it."""
_WEST = frozenset(
    {"en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "no", "nb", "nn", "fi", "ca", "gl", "eu", "af", "ga"}
)
_CENTRE = frozenset({"pl", "cs", "sk", "hu", "sl", "hr", "bs", "sr", "ro", "sq"})
CANDIDATES: Final = {
    WINDOWS: _WEST,
    LATIN_9: _WEST,
    "cp1250": _CENTRE,
    "iso8859_2": _CENTRE,
    "cp1254": frozenset({"tr", "az"}),
    "cp1257": frozenset({"lt", "lv", "et"}),
    "iso8859_13": frozenset({"lt", "lv", "et"}),
}
"""Encodings of one byte a character, the commonest first, and the languages that are written in them."""
SCRIPTS: Final = {
    "cp1251": "CYRILLIC",
    "koi8_r": "CYRILLIC",
    "koi8_u": "CYRILLIC",
    "cp1253": "GREEK",
    "iso8859_7": "GREEK",
    "cp1255": "HEBREW",
    "cp1256": "ARABIC",
}
"""Those of other scripts: every letter beyond ASCII is of the script, and none is a capital within a word."""
_WITHIN_WORDS = frozenset("\u2019\u2018\u00b4\u00ad\u2026\u2013\u2014\u00b7\u00d7")
"""Quotes, dashes and dots that stand between two letters."""
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BEYOND = re.compile(r"[^\x00-\x7f]")
_WORD = re.compile(r"[^\W\d_]+")


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
    is_mixed = seen.good > BROKEN * seen.bad  # a few such lines are UTF-8 by chance
    certain, guess = ("", "") if is_mixed else _guess(sample)
    if certain or seen.bad <= BROKEN * seen.lines:
        return certain or UTF_8
    if is_mixed:
        raise SourceError(
            f"{address}: {seen.good:,} of its lines are UTF-8 and {seen.bad:,} are not: it is put together of two "
            "encodings. Take it apart, or set source.encoding: utf-8 to refuse the others row by row. Nothing of this "
            "file was read"
        )
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


class _Transcoded(MadeContent):
    """Bytes of another encoding, as UTF-8; one that the encoding does not know becomes U+FFFD."""

    def __init__(self, content: Content, encoding: str, *, cr_ends_lines: bool) -> None:
        self._encoding, self._cr_ends_lines = encoding, cr_ends_lines
        super().__init__(content)

    def begin(self) -> None:
        """No character is half there."""
        self._decoder = codecs.getincrementaldecoder(self._encoding)("replace")

    def make(self) -> bytes:
        """The next characters; a piece may hold less than one."""
        text, piece = "", b"-"
        while not text and piece:
            piece = self._made_of.read(BUFFER_BYTES)
            text = self._decoder.decode(piece, final=not piece)
        return (text.replace("\r", "\n") if self._cr_ends_lines else text).encode("utf-8", "surrogatepass")


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
    fitting = [name for name in (*CANDIDATES, *SCRIPTS) if _fits(sample, name)]
    if WINDOWS in fitting and LATIN_9 in fitting:  # signs that only one of them has are odd in the other
        fitting.remove(LATIN_9)
    # Several that give the same text are one: most accents of German and French have the same bytes in many.
    if fitting and len({sample.decode(name, "replace") for name in fitting}) == 1:
        return fitting[0], fitting[0]
    if fitting:
        return "", fitting[0]
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return "", best.encoding if best is not None else ""


def _fits(sample: bytes, name: str) -> bool:
    """Whether the bytes make words in this encoding, of a language that is written in it."""
    text = sample.decode(name, "replace")
    signs = list(_BEYOND.finditer(text))
    if sum(_is_odd(text, found.start()) for found in signs) > MAX_ODD * len(signs):
        return False
    letters = [found.group() for found in signs if found.group().isalpha()]
    if name in SCRIPTS:
        capitals = sum(letter.isupper() for letter in letters)
        of_script = all(unicodedata.name(letter, "").startswith(SCRIPTS[name]) for letter in letters)
        share = len(letters) / max(sum(sign.isalpha() for sign in text), 1)
        return share >= LEAST_SHARE and of_script and capitals <= len(letters) / 2
    accented = [word for word in _WORD.findall(text) if not word.isascii()]
    if len(letters) > MAX_ACCENTS * sum(map(len, accented)):
        return False
    language, sure = likeliest(text)
    return language in CANDIDATES[name] and sure >= MIN_SURE


def _is_odd(text: str, place: int) -> bool:
    """Whether nobody writes this character here: a control, a bare accent, a sign or a capital within a word."""
    sign = text[place]
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    kind = unicodedata.category(sign)
    if kind == "Cc" or sign in "\ufffd\u00a4\u00a6\u00ac\u00a8\u00b8":
        return True
    if not sign.isalpha():
        return before.isalpha() and after.isalpha() and sign not in _WITHIN_WORDS
    if kind == "Lu" and before.islower():
        return True
    # Letters of two scripts in one word; ASCII is Latin.
    beside = before if before.isalpha() else after
    return beside.isalpha() and _is_latin(sign) != _is_latin(beside)


def _is_latin(letter: str) -> bool:
    return letter < "\u0370" or "\u1e00" <= letter < "\u1f00"
