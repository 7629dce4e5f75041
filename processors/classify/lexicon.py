"""The words and phrases that speak for a kind of task. Data alone: the rule that weighs them is in `decide`.

English only, on purpose small: a request that no word speaks for is `other`, which no later stage mistakes for knowledge.
"""

from collections.abc import Mapping
from enum import StrEnum


class TaskKind(StrEnum):
    """What a request is about. The order breaks ties."""

    TRANSLATION = "translation"
    SUMMARISATION = "summarisation"
    CODING = "coding"
    EXTRACTION = "extraction"
    ROLEPLAY = "roleplay"
    MATH = "math"
    WRITING = "writing"
    REASONING = "reasoning"
    STEM = "stem"
    HUMANITIES = "humanities"
    CHAT = "chat"
    OTHER = "other"


_STRONG: Mapping[TaskKind, str] = {
    TaskKind.TRANSLATION: "translate translation",
    TaskKind.SUMMARISATION: "summarize summarise summary tldr",
    TaskKind.CODING: (
        "python javascript typescript java rust golang c++ c# sql html css regex bash kubernetes docker refactor "
        "stacktrace traceback segfault codebase unittest pytest"
    ),
    TaskKind.EXTRACTION: "extract entities",
    TaskKind.ROLEPLAY: "roleplay pretend persona",
    TaskKind.MATH: (
        "equation inequality integral derivative probability polynomial triangle hypotenuse factorial remainder logarithm"
    ),
    TaskKind.WRITING: "essay poem limerick haiku headline screenplay blog rewrite rephrase proofread paraphrase",
    TaskKind.REASONING: "riddle syllogism premise premises deduce",
    TaskKind.STEM: (
        "physics quantum chemistry chemical biology photosynthesis molecule molecular thermodynamics exothermic "
        "endothermic genome enzyme orbital satellite seismic neuron electromagnetic"
    ),
    TaskKind.HUMANITIES: (
        "philosophy philosopher socrates plato history historical antitrust inflation gdp monetary economics "
        "etiquette literature theology constitution renaissance"
    ),
}
_WEAK: Mapping[TaskKind, str] = {
    TaskKind.TRANSLATION: "french german spanish chinese japanese english italian portuguese",
    TaskKind.SUMMARISATION: "condense shorten abstract",
    TaskKind.CODING: (
        "code function program algorithm implement compile debug bug script api class array arrays recursion "
        "binary tree exception linked website button complexity method lint"
    ),
    TaskKind.EXTRACTION: (
        "identify categories categorize classify json csv records list named columns fields following reviews assign"
    ),
    TaskKind.ROLEPLAY: "imagine yourself role act assume character",
    TaskKind.MATH: (
        "solve calculate compute sum average percent area divided number numbers integers times half twice total "
        "dice value price cost points"
    ),
    TaskKind.WRITING: (
        "write draft compose story email letter article paragraph edit grammatical sentence sentences tone "
        "persuasive creative creatively describe outline post"
    ),
    TaskKind.REASONING: (
        "logic logical statement statements true false who why brother sister father mother relationship puzzle "
        "conclusion infer belong direction standing position reasons therefore"
    ),
    TaskKind.STEM: (
        "energy cell cells reaction reactions engineering science scientific earth vaccine species planet machine "
        "learning process bridge solar species temperature"
    ),
    TaskKind.HUMANITIES: (
        "policy policies law laws culture cultural society ethics art artworks politics politicians economic "
        "government war century religion business argument drama film films documentary japan china mortality time"
    ),
}

STRONG_WEIGHT = 3
WEAK_WEIGHT = 1

WORDS: Mapping[str, tuple[tuple[TaskKind, int], ...]] = {
    word: tuple(
        (kind, weight)
        for table, weight in ((_STRONG, STRONG_WEIGHT), (_WEAK, WEAK_WEIGHT))
        for kind, words in table.items()
        if word in words.split()
    )
    for word in {word for table in (_STRONG, _WEAK) for words in table.values() for word in words.split()}
}

PHRASES: tuple[tuple[str, TaskKind, int], ...] = (
    ("act as", TaskKind.ROLEPLAY, 4),
    ("the role of", TaskKind.ROLEPLAY, 4),
    ("picture yourself", TaskKind.ROLEPLAY, 4),
    ("imagine yourself", TaskKind.ROLEPLAY, 4),
    ("now you are", TaskKind.ROLEPLAY, 4),
    ("suppose you are", TaskKind.ROLEPLAY, 4),
    ("short story", TaskKind.WRITING, 3),
    ("key points", TaskKind.SUMMARISATION, 1),
    ("tl;dr", TaskKind.SUMMARISATION, 3),
    ("main points", TaskKind.SUMMARISATION, 2),
    ("how many", TaskKind.MATH, 2),
    ("what is the area", TaskKind.MATH, 2),
    ("step by step", TaskKind.REASONING, 1),
    ("what could be", TaskKind.REASONING, 1),
    ("does not belong", TaskKind.REASONING, 2),
    ("true, false", TaskKind.REASONING, 2),
    ("json format", TaskKind.EXTRACTION, 2),
    ("named entities", TaskKind.EXTRACTION, 2),
    ("the following information", TaskKind.EXTRACTION, 2),
    ("given the following", TaskKind.EXTRACTION, 2),
    ("unit test", TaskKind.CODING, 3),
    ("machine learning", TaskKind.STEM, 2),
)

GREETINGS = frozenset(
    {"hi", "hello", "hey", "thanks", "thank", "morning", "bye", "goodbye", "welcome", "how", "are", "you", "ok", "okay"}
)
"""A request of a few words, one of them the first here, is `chat`."""

HARD_WORDS = frozenset(
    {"prove", "proof", "analyze", "analyse", "compare", "contrast", "derive", "optimize", "optimise", "evaluate", "architecture"}
)
