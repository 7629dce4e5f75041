"""Which language a prompt is in."""
# ruff: noqa: RUF001 -- letters of other alphabets are what this is about

import pytest

from processors.classify.language import language_of
from processors.classify.signs import words_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the best way to learn the piano?", "en"),
        ("Wie lerne ich am besten Klavier spielen?", "de"),
        ("Quelle est la meilleure façon d'apprendre le piano ?", "fr"),
        ("¿Cuál es la mejor manera de aprender a tocar el piano?", "es"),
        ("Qual é a melhor forma de aprender a tocar piano? Não sei como começar.", "pt"),
        ("Qual è il modo migliore per imparare il pianoforte?", "it"),
        ("Wat is de beste manier om piano te leren spelen?", "nl"),
        ("Vad är det bästa sättet att lära sig spela piano? Jag vet inte.", "sv"),
        ("Mikä on paras tapa oppia soittamaan pianoa? En tiedä, miten aloitan ja mitä teen.", "fi"),
        ("Jaki jest najlepszy sposób, żeby nauczyć się grać na pianinie?", "pl"),
        ("Jaký je nejlepší způsob, jak se naučit hrát na klavír? Proč je to těžké?", "cs"),
        ("Hogyan lehet a legjobban megtanulni zongorázni, és mi az első lépés?", "hu"),
        ("Care este cea mai bună metodă și cum pot să învăț pianul în România?", "ro"),
        ("Piyano çalmayı öğrenmek için en iyi yol nedir?", "tr"),
        ("Bagaimana cara terbaik untuk belajar piano dengan cepat?", "id"),
        ("Làm thế nào để học chơi đàn piano và những bước đầu tiên là gì?", "vi"),
        ("Как лучше всего научиться играть на пианино?", "ru"),
        ("Як найкраще навчитися грати на піаніно, і що для цього є?", "uk"),
        ("Как се научава най-добре пиано и защо това е трудно?", "bg"),
        ("Ποιος είναι ο καλύτερος τρόπος;", "el"),
        ("ما هي أفضل طريقة لتعلم البيانو؟", "ar"),
        ("بهترین راه برای یادگیری پیانو چیست؟", "fa"),
        ("מה הדרך הטובה ביותר ללמוד פסנתר?", "he"),
        ("पियानो सीखने का सबसे अच्छा तरीका क्या है?", "hi"),
        ("পিয়ানো শেখার সেরা উপায় কী?", "bn"),
        ("வணக்கம், எப்படி இருக்கிறீர்கள்?", "ta"),
        ("วิธีที่ดีที่สุดในการเรียนเปียโนคืออะไร", "th"),
        ("学习钢琴的最好方法是什么？", "zh"),
        ("ピアノを学ぶ一番の方法は何ですか？", "ja"),
        ("피아노를 배우는 가장 좋은 방법은 무엇인가요?", "ko"),
        ("რა არის საუკეთესო გზა?", "ka"),
        ("Translate to Russian, please: where is the station and how do I get to it", "en"),
        ("请用 Python 写一个函数", "zh"),
        ("", "und"),
        ("17 + 4", "und"),
        ("🙂🙂", "und"),
        ("zqx wvk", "und"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 4 and value.isalpha() else None,
)
def test_language(text, language):
    assert language_of(text, words_of(text)) == language
