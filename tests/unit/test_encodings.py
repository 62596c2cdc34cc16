"""The encoding of a file: what its bytes leave no doubt about is taken, the rest is named with the key to set."""

from __future__ import annotations

import io

import pytest

from restar_lib.errors import SourceError
from restar_lib.ingest.readers.encodings import as_utf_8, find_encoding

PLAIN = "Just a line that has no letter with an accent at all"
SENTENCES = {
    "cp1252": [
        "It\u2019s a good lamp and it doesn\u2019t flicker, worth every \u20ac of it",
        "Die Lampe ist sch\u00f6n hell, aber der Schalter l\u00e4sst sich schwer dr\u00fccken, schade f\u00fcr den Preis.",
        "La lampe est tr\u00e8s belle, elle \u00e9claire bien et le bouton est \u00e0 la bonne place, m\u00eame pour un enfant.",
        "A l\u00e2mpada \u00e9 muito boa, n\u00e3o aquece e a ilumina\u00e7\u00e3o \u00e9 \u00f3tima para a sala.",
    ],
    "cp1251": ["\u041b\u0430\u043c\u043f\u0430 \u0441\u0432\u0435\u0442\u0438\u0442 \u044f\u0440\u043a\u043e \u0438 \u043d\u0435 \u043c\u0438\u0433\u0430\u0435\u0442, \u043f\u043e\u043b\u044c\u0437\u0443\u0435\u043c\u0441\u044f \u043a\u0430\u0436\u0434\u044b\u0439 \u0432\u0435\u0447\u0435\u0440"],
    "cp1250": ["Lampa \u015bwieci bardzo jasno i nie migocze, u\u017cywamy jej ka\u017cdego wieczoru, \u017ca\u0142uj\u0119 tylko \u017ce w\u0142\u0105cznik jest ma\u0142y."],
}  # fmt: skip


def found(content: bytes) -> str:
    return find_encoding(io.BufferedReader(io.BytesIO(content)), address="a.csv")


@pytest.mark.parametrize(("encoding", "sentence"), [(name, one) for name, all_ in SENTENCES.items() for one in all_])
@pytest.mark.parametrize("times", [1, 30])
def test_a_text_is_decoded_as_it_was_written(encoding: str, sentence: str, times: int) -> None:
    """A few words are enough where they can be read in one way."""
    content = "\n".join([PLAIN, sentence, PLAIN] * times).encode(encoding)
    assert content.decode(found(content)) == content.decode(encoding)


def test_utf_8_with_a_broken_row_stays_utf_8() -> None:
    """The row is refused alone."""
    good = "\n".join(["Tr\u00e8s bon \u2019"] * 20).encode()
    assert found(good + b"\nbroken \xff\xfe\x80 row\n") == "utf-8"
    assert found("\n".join([PLAIN] * 500).encode() + b"\nbroken a\x81\x8d\x8f row\n") == "utf-8"


@pytest.mark.parametrize("encoding", ["shift_jis", "mac_roman"])
def test_what_is_doubtful_is_named(encoding: str) -> None:
    """With the key to set and a line of the text."""
    text = (
        "\u3053\u306e\u30e9\u30f3\u30d7\u306f\u660e\u308b\u3044"
        if encoding == "shift_jis"
        else "It\u2019s tr\u00e8s bien"
    )
    with pytest.raises(SourceError, match=r"a\.csv: its text is not UTF-8.*Set source\.encoding"):
        found("\n".join([text] * 5).encode(encoding))


def test_content_is_read_as_utf_8_from_any_place() -> None:
    """Backwards too, as reading a file twice needs it."""
    text = "\n".join(f"line {number} \u2013 \u00e9" for number in range(5000))
    content = as_utf_8(io.BufferedReader(io.BytesIO(text.encode("utf-16"))), "utf-16")
    expected = text.encode()
    assert content.read() == expected
    for place in (0, 40_000, 17, len(expected)):
        content.seek(place)
        assert content.read(50) == expected[place : place + 50]
