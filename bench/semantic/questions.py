"""The questions of a file, each made ready when it is looked at: word vectors of all at once would fill the memory."""

from dataclasses import dataclass

from processors.cache.semantic.facts import Facts, facts, stem
from processors.cache.semantic.question import Question
from processors.embedding import Embedder, Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """What `prepare` gives for the same texts, one by one."""

    facts: list[Facts]
    vectors: Vectors
    row_of: dict[str, int]
    words: Vectors

    def __len__(self) -> int:
        return len(self.facts)

    def __getitem__(self, at: int) -> Question:
        found = self.facts[at]
        return Question(
            found, tuple(map(stem, found.words)), self.vectors[at], self.words[[self.row_of[word] for word in found.words]]
        )


def questions(texts: list[str], vectors: Vectors, lexicon: Embedder) -> Questions:
    found = [facts(text) for text in texts]
    vocabulary = sorted({word for each in found for word in each.words})
    return Questions(found, vectors, {word: row for row, word in enumerate(vocabulary)}, lexicon.embed(vocabulary))
