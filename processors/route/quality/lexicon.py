"""Words that speak for a way of asking, whatever the subject: data alone, English, lower case.

No word of a subject (law, medicine, mathematics) stands here. Such words rank the subjects that they were chosen on and
mislead on others; topics are for the embedding to tell.
"""

from collections.abc import Mapping

GROUPS: Mapping[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        "negation": "not no never none neither nor without cannot can't don't doesn't isn't aren't except least false "
        "incorrect lack",
        "quantifier": "all every each any some most both only always must exactly everyone nobody",
        "condition": "if then unless implies therefore hence because since whether iff suppose assume given",
        "step": "each per total twice half times altogether remaining left rest double triple average day week hour minute "
        "minutes hours days weeks month year more less fewer than",
        "first_person": "i my me mine we our us",
        "modal": "should would could may might can will shall",
        "superlative": "best primary primarily main mainly likely greatest highest largest major common typically "
        "usually generally",
        "comparison": "more less higher lower greater smaller larger increase decrease increases decreases "
        "increased rise fall falls",
        "third_person": "he she his her him they their",
        "judgement": "true false valid invalid right wrong correct incorrect correctly statement statements",
    }.items()
}
