"""Which language a text is in: named where it is sure, and left open where it is not."""
# ruff: noqa: RUF001 - other scripts are what it is about

from __future__ import annotations

import subprocess
import sys

import pytest

from restar_lib.languages.identify import identify, language_of

ENGLISH_REVIEWS = (
    "The kettle boils quickly and my tea tastes better than it did with the old one.",
    "Compact cordless kettle, brushed steel, boils half a litre within two minutes",
    "Très chic, and it’s quick – I love my new kettle 👍",
)
LONG_ENGLISH = "The kettle boils quickly and my tea tastes better than it did with the old one, I would buy it again."
FOREIGN = {
    "es": "Llegó tarde y la tapa no cierra bien, no vuelvo a comprar en esta tienda",
    "fr": "Le couvercle ne ferme pas et le vendeur ne répond jamais, je suis déçue",
    "de": "Der Deckel schließt nicht richtig und der Verkäufer antwortet nie",
    "it": "Il coperchio non si chiude bene e il venditore non risponde mai",
    "pt": "A tampa não fecha direito e o vendedor nunca responde, não comprem",
    "nl": "Het deksel sluit niet goed en de verkoper antwoordt nooit",
    "pl": "Pokrywka nie zamyka się dobrze, a sprzedawca nigdy nie odpowiada",
    "tr": "Kapağı düzgün kapanmıyor ve satıcı hiç cevap vermiyor",
    "ru": "Крышка плохо закрывается, а продавец никогда не отвечает",
    "uk": "Кришка погано закривається, а продавець ніколи не відповідає",
    "ja": "ふたがきちんと閉まらず、店からの返事もありません",
    "zh": "盖子关不紧，卖家一直不回复",
    "ko": "뚜껑이 잘 안 닫히고 판매자는 답장이 없어요",
    "ar": "الغطاء لا يغلق جيدا والبائع لا يرد أبدا",
    "fa": "درِ آن خوب بسته نمی‌شود و فروشنده هیچ وقت جواب نمی‌دهد",
    "he": "המכסה לא נסגר טוב והמוכר אף פעם לא עונה",
    "hi": "ढक्कन ठीक से बंद नहीं होता और विक्रेता कभी जवाब नहीं देता",
    "th": "ฝาปิดไม่สนิทและผู้ขายไม่ตอบเลย",
    "el": "Το καπάκι δεν κλείνει καλά και ο πωλητής δεν απαντά ποτέ",
}


@pytest.mark.parametrize("language", FOREIGN)
def test_a_sentence_says_its_language(language: str) -> None:
    """One sentence of a review is enough, and it is then outside English."""
    assert identify(FOREIGN[language]).language == language
    assert identify(FOREIGN[language]).is_outside(("en",))
    assert not identify(FOREIGN[language]).is_outside(("en", language))


@pytest.mark.parametrize(
    "text",
    [
        LONG_ENGLISH,
        "Great!",
        "Works",
        "Meh",
        "Yum yum",
        "thx",
        "Très chic kettle, love it",
        "Wig stand",
        "ok",
        "Señor Coffee maker",
    ],
)
def test_english_is_never_called_another_language(text: str) -> None:
    """However short it is: where it cannot be told, nothing is said."""
    assert language_of(text) in {"en", None}
    assert not identify(text).is_outside(("en",))


@pytest.mark.parametrize("language", FOREIGN)
def test_the_quick_way_for_whole_reviews_says_the_same(language: str) -> None:
    """It looks for hints first, so that English alone never loads the identifier."""
    assert language_of(FOREIGN[language]) == language


def test_english_alone_never_loads_the_identifier() -> None:
    """Reviews with common words, with words of shops alone, with signs of other scripts."""
    code = (
        "import sys; from restar_lib.languages.identify import language_of\n"
        f"print([language_of(one) for one in {ENGLISH_REVIEWS!r}], 'py3langid' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['en', None, 'en'] False"


def test_what_cannot_be_told_is_left_open() -> None:
    """A word or two, or no letter at all."""
    assert [language_of(text) for text in ("", "12345", "👍👍", "❤️❤️", "Muji")] == [None] * 5


def test_most_letters_decide_the_script() -> None:
    """A foreign word in an English review changes nothing, and an English name in a foreign review neither."""
    assert language_of(f"{LONG_ENGLISH} 良い! Спасибо!") == "en"
    assert language_of("iPhone用のケースですが、ボタンが押しにくいです") == "ja"


def test_a_model_may_read_other_languages_or_all() -> None:
    """What is outside depends on what the model says that it reads."""
    assert identify(LONG_ENGLISH).is_outside(("de", "fr"))
    assert not identify(FOREIGN["th"]).is_outside(("*",))
    assert not identify("最高").is_outside(("ja",)), "it may be Chinese as well"
    assert identify("最高").is_outside(("en", "ko"))
