"""Text of an exact number of tokens, the same for the same seed.

Every word of the corpus is three bytes of UTF-8, and a space follows it: four bytes, one token. The corpus holds
characters of three bytes as well, so that a stream cut at the wrong byte shows.
"""

from streams.simulator.tokens import BYTES_PER_TOKEN

_CORPUS = """
The old map has one red dot — not far off the sea … and you can see it.
Her dog and his cat ran off for the day — who can say why … not us.
You may ask the boy for ice and tea but not for 水 — you get the tap for it.
Why did the fox sit out all day … the hen was fed and put her egg off the log — ask me.
Six big men can row the bay and use the net for cod — few can top it.
Fit the key and try the box … any pen can ink the 山 and the sky for us.
Now add the sum and cut the tax — pay ten per man and let the law own the lot … but not me.
"""
WORDS = tuple(_CORPUS.split())
_BYTES = " ".join(WORDS).encode() + b" "
_SENTENCES = (0, *(i + 1 for i, word in enumerate(WORDS[:-1]) if word.endswith(".")))


def text_of(tokens: int, *, seed: int) -> str:
    """Exactly `tokens` tokens of text, from the start of a sentence.

    >>> text_of(6, seed=0)
    'The old map has one red'
    """
    start = _SENTENCES[seed % len(_SENTENCES)] * BYTES_PER_TOKEN
    size = tokens * BYTES_PER_TOKEN
    repeats = -(-(start + size) // len(_BYTES))
    return (_BYTES * repeats)[start : start + size][:-1].decode()


def pieces(text: str, count: int) -> list[str]:
    """The text in at most `count` pieces of near equal length; joined they are the text again.

    >>> pieces("The old map", 2)
    ['The o', 'ld map']
    """
    count = max(1, min(count, len(text)))
    return [text[len(text) * i // count : len(text) * (i + 1) // count] for i in range(count)]
