"""Which language a text is in: by its script, then by its commonest words and letters."""
# ruff: noqa: RUF001 -- letters of other alphabets are what this is about

from collections import Counter
from collections.abc import Mapping, Sequence
from struct import Struct

UNKNOWN = "und"
_READ_CHARS = 800

_WORDS: Mapping[str, str] = {
    "en": "the of and to in is that it for what how with you this are on be can i a my do from which an as if me by not we",
    "de": "der die das und ist nicht ein eine ich mit für auf den dem zu von wie was wir sie es im ins auch kann bitte über",
    "fr": "le la les et est une un des du que pour dans qui avec pas sur je vous ce cette comment quel quelle au aux nous par",
    "es": "el la los las y es una un de que en por para con no como qué cómo se del al mi está puedo cuál sobre hay más",
    "pt": "o os as e é uma um que em para com não como do da dos das no na se por você meu está qual sobre mais ao são",
    "it": "il lo la gli le e è una un di che per con non come del della dei nel sono mi cosa questo questa qual più anche scrivi",
    "nl": "de het een en is van ik je niet dat met op voor hoe wat zijn aan naar deze dit wij ook om schrijf mijn",
    "sv": "och att det som är en ett på för med jag inte den hur vad av till om kan du har vi från mig skriv",
    "da": "og at det som er en et på for med jeg ikke den hvordan hvad af til om kan du har vi fra mig skriv",
    "no": "og å det som er en et på for med jeg ikke den hvordan hva av til om kan du har vi fra meg skriv",
    "fi": "ja on ei se että mitä miten minä kuin ovat olen tämä voi mutta kun sinä hän missä kirjoita tai",
    "pl": "i w nie to się na jest że jak co do z dla czy mnie mi są jaki jest przez napisz jestem o po",
    "cs": "a je se na to že v jak co do z pro mi jsem není jsou nebo který napiš kde proč s ve",
    "sk": "a je sa na to že v ako čo do z pre mi som nie sú alebo ktorý napíš kde prečo s vo",
    "hu": "a az és hogy nem egy van mi is meg ez mit hogyan kell csak én de írj egyik milyen lehet",
    "ro": "și si este un o de la în că nu cu pe ce cum pentru din mai sunt care se am scrie unde",
    "tr": "ve bir bu ne için nasıl de da ile mi çok ben var değil olarak nedir daha gibi bana yaz",
    "id": "yang dan di ini itu untuk dengan apa saya tidak dari ke bagaimana adalah dalam bisa anda tolong buat",
    "vi": "là và của có không tôi một cho các được này những người làm thế nào trong với hãy bạn viết",
    "ca": "el la els les i és una un de que en per amb no com què dels del al meu està escriu més aquest",
    "hr": "i je u na se da što kako za ne sam su od to koji mi ili gdje zašto napiši s",
    "sl": "in je v na se da kaj kako za ne sem so od to ki mi ali kje zakaj napiši pri",
    "lt": "ir yra kad kaip kas į ne su aš tai ar iš mano kur kodėl parašyk bet",
    "lv": "un ir kas kā ar par es nav no uz vai kur kāpēc uzraksti bet man",
    "et": "ja on ei see et mis kuidas ma kui oma kas kus miks kirjuta või mulle",
    "sq": "dhe është në të një për si çfarë me nuk që ka unë shkruaj pse",
    "sw": "na ya wa ni kwa katika hii nini jinsi mimi si la za kuwa gani",
    "af": "die het 'n en is van ek nie dat met op vir hoe wat jy ons ook maar om hierdie skryf",
    "tl": "ang ng sa na mga at ay ko ano paano si ito hindi ako mo para kung",
    "ru": "и в не на что как я с это по для из к но мне ты он вы где почему или напиши какие",
    "uk": "і в не на що як я з це для та до але мені ти він ви де чому або напиши які є",
    "bg": "и в не на че как аз с това за от да но ми ти той вие къде защо или напиши са е се",
    "sr": "и у не на шта како ја са је за од да али ми ти он где зашто или напиши су се што",
    "be": "і ў не на што як я з гэта для да але мне ты ён вы дзе чаму або напішы ёсць",
    "mk": "и во не на што како јас со е за од да но ми ти тој каде зошто или напиши се ова",
    "ar": "في من على إلى ما هو هي هذا هذه كيف أن لا مع عن التي الذي هل أنا",
    "fa": "در از به که این است را با چه چگونه برای آن من و می یک چیست کنید",
    "ur": "میں کے کی کا ہے سے اور کو کیا یہ نے پر ہیں نہیں ایک کیسے",
    "hi": "है के में की का और को से यह क्या हैं पर नहीं मैं एक कैसे लिए",
    "mr": "आहे आणि या च्या मध्ये काय हे ते कसे मी नाही एक साठी",
    "ne": "छ र को मा यो के हो कसरी छन् म भने लागि",
}
_LETTERS: Mapping[str, str] = {
    "de": "ßäöü", "fr": "çœêèàùëî", "es": "ñ¿¡", "pt": "ãõ", "it": "òì", "sv": "åäö", "da": "æøå", "no": "æøå", "fi": "äö",
    "pl": "łąęśżźćń", "cs": "řěůčšž", "sk": "ľĺŕťďôčšž", "hu": "őűáéó", "ro": "țțșşţăâ", "tr": "ğışç", "ca": "·ŀ", "hr": "đčćšž",
    "sl": "čšž", "lt": "ėįųūž", "lv": "āēīūņļķģ", "et": "õäöü", "vi": "ơưđạảấầậắằặẹẻẽếềểễệỉịọỏốồổỗộớờởợụủứừửữự",
    "ru": "ыэё", "uk": "їєґі", "bg": "ъщ", "sr": "ђјљњћџ", "be": "ўі", "mk": "ѓќѕј", "fa": "پچژگی", "ur": "ٹڈڑںےہ",
}  # fmt: skip
_SCRIPTS: tuple[tuple[int, int, str], ...] = (
    (0x0370, 0x03FF, "el"), (0x0400, 0x052F, "Cyrl"), (0x0530, 0x058F, "hy"), (0x0590, 0x05FF, "he"), (0x0600, 0x077F, "Arab"),
    (0x0900, 0x097F, "Deva"), (0x0980, 0x09FF, "bn"), (0x0A00, 0x0A7F, "pa"), (0x0A80, 0x0AFF, "gu"), (0x0B80, 0x0BFF, "ta"),
    (0x0C00, 0x0C7F, "te"), (0x0C80, 0x0CFF, "kn"), (0x0D00, 0x0D7F, "ml"), (0x0D80, 0x0DFF, "si"), (0x0E00, 0x0E7F, "th"),
    (0x0E80, 0x0EFF, "lo"), (0x1000, 0x109F, "my"), (0x10A0, 0x10FF, "ka"), (0x1200, 0x137F, "am"), (0x1780, 0x17FF, "km"),
    (0x3040, 0x30FF, "ja"), (0x3400, 0x9FFF, "zh"), (0xAC00, 0xD7AF, "ko"),
)  # fmt: skip
_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "Cyrl": ("ru", "uk", "bg", "sr", "be", "mk"),
    "Arab": ("ar", "fa", "ur"),
    "Deva": ("hi", "mr", "ne"),
}
_LATIN = tuple(code for code in _WORDS if all(code not in family for family in _FAMILIES.values()))
_PLACES: Mapping[str, int] = {code: place for place, code in enumerate(_WORDS)}
_FIELD_BITS = 32
_scores = Struct(f"<{len(_WORDS)}I")


def _packed(codes: Sequence[str], weight: int) -> int:
    return sum(weight << (_FIELD_BITS * _PLACES[code]) for code in codes)


def _weights() -> Mapping[str, int]:
    """What each word says for each language: 100 for a word of one language, less for one that several share."""
    speaking = {
        word: [code for code, words in _WORDS.items() if word in words.split()]
        for words in _WORDS.values()
        for word in words.split()
    }
    return {word: _packed(codes, int(100 / len(codes) ** 0.5)) for word, codes in speaking.items()}


def _letter_weights() -> Mapping[str, int]:
    showing = {
        letter: [code for code, letters in _LETTERS.items() if letter in letters]
        for letters in _LETTERS.values()
        for letter in letters
    }
    return {letter: _packed(codes, 80 // len(codes)) for letter, codes in showing.items()}


_WORD_WEIGHTS = _weights()
_LETTER_WEIGHTS = _letter_weights()


def language_of(text: str, words: list[str]) -> str:
    """The ISO 639-1 code of the language most of a text is in, `und` when nothing tells. `words` are those of the text.

    >>> language_of("Wie spät ist es?", ["wie", "spät", "ist", "es"]), language_of("17", ["17"])
    ('de', 'und')
    """
    head = text[:_READ_CHARS]
    if head.isascii():
        return _best(words, (), _LATIN)
    letters = [char for char in head if char > "\x7f"]
    scripts = Counter(map(_script, letters))
    scripts["Latn"] += sum(char.isalpha() for char in head if char <= "\x7f")
    if scripts["ja"] and 4 * (scripts["ja"] + scripts["zh"]) > scripts["Latn"]:
        return "ja"
    # A character of Chinese or Korean says as much as several letters.
    for dense in ("zh", "ko"):
        scripts[dense] *= 3
    del scripts[""]
    if not any(scripts.values()):
        return UNKNOWN
    script = max(scripts, key=lambda name: (scripts[name], name))
    if script != "Latn":
        return _best(words, letters, _FAMILIES[script]) if script in _FAMILIES else script
    return _best(words, letters, _LATIN)


def _best(words: list[str], letters: list[str] | tuple[()], among: tuple[str, ...]) -> str:
    """The language with the most words of its own, the first of those that have as many.

    The scores of all languages stand side by side in one whole number, so that a word is one addition; whole numbers also
    make the order in which they are added not matter.
    """
    total = sum(map(_WORD_WEIGHTS.__getitem__, _WORD_WEIGHTS.keys() & set(words)))
    for letter in letters:
        total += _LETTER_WEIGHTS.get(letter.lower(), 0)
    if not total:
        return UNKNOWN if among is _LATIN else among[0]
    first = _PLACES[among[0]]
    scores = _scores.unpack(total.to_bytes(_scores.size, "little"))[first : first + len(among)]
    best = max(scores)
    return among[scores.index(best)] if best else UNKNOWN if among is _LATIN else among[0]


def _script(char: str) -> str:
    point = ord(char)
    return next((name for low, high, name in _SCRIPTS if low <= point <= high), "Latn" if char.isalpha() else "")
