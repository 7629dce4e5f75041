"""The words that guards know: small closed classes, lower case. What is not listed here is left to the scorer."""

from typing import Final


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_UNIT_FORMS: Final = {
    "%": "% percent percentage pct",
    "$": "$ usd dollar dollars us$ bucks",
    "€": "€ eur euro euros",
    "£": "£ gbp sterling quid",
    "¥": "¥ jpy yen",
    "₹": "₹ inr rupee rupees rs",
    "cent": "cent cents",
    "km": "km kms kilometer kilometers kilometre kilometres",
    "mile": "mile miles mi",
    "m": "m meter meters metre metres",
    "cm": "cm centimeter centimeters centimetre centimetres",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "foot": "ft foot feet",
    "inch": "inch inches",
    "kg": "kg kgs kilo kilos kilogram kilograms",
    "g": "g gram grams",
    "mg": "mg milligram milligrams",
    "lb": "lb lbs pound pounds",
    "oz": "oz ounce ounces",
    "l": "l liter liters litre litres",
    "ml": "ml milliliter milliliters millilitre millilitres",
    "gallon": "gallon gallons",
    "°c": "°c celsius centigrade",
    "°f": "°f fahrenheit",
    "ms": "ms millisecond milliseconds",
    "s": "s sec secs second seconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "day": "day days",
    "week": "week weeks",
    "month": "month months",
    "year": "yr yrs year years",
    "b": "byte bytes",
    "kb": "kb kilobyte kilobytes",
    "mb": "mb megabyte megabytes",
    "gb": "gb gigabyte gigabytes",
    "tb": "tb terabyte terabytes",
    "w": "watt watts",
    "kw": "kw kilowatt kilowatts",
    "v": "volt volts",
    "hz": "hz hertz",
    "mhz": "mhz megahertz",
    "ghz": "ghz gigahertz",
    "k": "k thousand thousands",
    "million": "million millions",
    "billion": "billion billions bn",
    "lakh": "lakh lakhs lac lacs",
    "crore": "crore crores",
}
UNITS: Final = {form: unit for unit, forms in _UNIT_FORMS.items() for form in forms.split()}

ALWAYS_UNITS: Final = _set(
    """
    € £ ¥ ₹ km mile cm mm foot inch kg mg lb oz ml gallon °c °f kb mb gb tb kw mhz ghz $ million billion lakh crore
    """
)
"""Units that must match even where no number stands before them: "how far in miles" is not "how far in kilometres"."""

_NUMERALS: Final = "zero _ two three four five six seven eight nine ten eleven twelve"
_ORDINALS: Final = "first second third fourth fifth sixth seventh eighth ninth tenth"
NUMERALS: Final = {word: str(value) for value, word in enumerate(_NUMERALS.split())} | {
    "twenty": "20",
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "sixty": "60",
    "seventy": "70",
    "eighty": "80",
    "ninety": "90",
}
"""Number words by their digits. Not "one", which is more often a pronoun."""

ORDINALS: Final = {word: f"{value}th" for value, word in enumerate(_ORDINALS.split(), start=1)} | {"last": "last"}

MONTHS: Final = {
    form: month
    for month, forms in {
        "jan": "january jan",
        "feb": "february feb",
        "mar": "mar",
        "apr": "april apr",
        "jun": "june jun",
        "jul": "july jul",
        "aug": "august aug",
        "sep": "september sep sept",
        "oct": "october oct",
        "nov": "november nov",
        "dec": "december dec",
    }.items()
    for form in forms.split()
}
"""Not "may" and "march": they are also verbs, and count as dates only beside a number or with a capital."""
SHY_MONTHS: Final = {"may": "may", "march": "mar"}

DAYS: Final = {
    form: day
    for day, forms in {
        "mon": "monday mondays",
        "tue": "tuesday tuesdays",
        "wed": "wednesday wednesdays",
        "thu": "thursday thursdays",
        "fri": "friday fridays",
        "sat": "saturday saturdays",
        "sun": "sunday sundays",
        "today": "today tonight",
        "tomorrow": "tomorrow",
        "yesterday": "yesterday",
        "weekend": "weekend weekends",
    }.items()
    for form in forms.split()
}

NEGATIONS: Final = _set(
    """
    not no never without none nobody nothing nowhere neither nor cannot cant dont doesnt didnt isnt arent wasnt werent
    wont wouldnt shouldnt couldnt havent hasnt hadnt aint except unable lack nicht kein keine keinen keinem nie ohne
    niemals pas jamais sans aucun aucune sin nunca ningún jamás não nao nunca sem non senza mai niet geen zonder не нет
    без никогда
    """
)
NEGATION_SIGNS: Final = frozenset("不没沒無无非未别別")
"""Scripts without spaces: each of these signs counts as a negation."""

_OPPOSITES: Final = """
increase/decrease raise/lower gain/lose grow/shrink rise/fall up/down high/low higher/lower highest/lowest more/less/fewer
most/least best/worst better/worse good/bad big/small bigger/smaller biggest/smallest large/small larger/smaller
largest/smallest long/short longer/shorter longest/shortest tall/short fast/slow faster/slower fastest/slowest early/late
earliest/latest old/new oldest/newest young/old younger/older youngest/oldest hot/cold warm/cool hotter/colder easy/hard
easy/difficult easier/harder easiest/hardest cheap/expensive cheapest/expensive rich/poor strong/weak thin/thick light/heavy
happy/sad love/hate like/dislike buy/sell buying/selling lend/borrow import/export before/after start/stop begin/end
open/close enable/disable allow/forbid activate/deactivate install/uninstall subscribe/unsubscribe follow/unfollow
block/unblock lock/unlock add/remove insert/delete create/delete create/destroy accept/reject approve/deny include/exclude
win/lose pass/fail push/pull send/receive give/take upload/download encrypt/decrypt encode/decode compress/decompress
maximum/minimum max/min maximize/minimize maximise/minimise ascending/descending inside/outside above/below over/under
left/right north/south east/west northern/southern eastern/western male/female man/woman men/women boy/girl boys/girls
guy/girl guys/girls husband/wife father/mother son/daughter brother/sister boyfriend/girlfriend king/queen he/she his/her
him/her advantage/disadvantage advantages/disadvantages pros/cons pro/con benefit/risk benefits/risks positive/negative
true/false right/wrong legal/illegal possible/impossible safe/dangerous public/private internal/external input/output
arrive/depart arrival/departure enter/exit introvert/extrovert introverts/extroverts optimist/pessimist
undergraduate/graduate undergraduate/postgraduate bachelor/master bachelors/masters major/minor domestic/foreign
domestic/international front/back front-end/back-end frontend/backend ios/android mac/windows java/javascript acid/base
hardware/software liberal/conservative democrat/republican democrats/republicans left-wing/right-wing morning/evening
morning/night day/night summer/winter breakfast/dinner credit/debit debtor/creditor asset/liability assets/liabilities
gross/net supply/demand employer/employee teacher/student doctor/patient landlord/tenant seller/buyer plaintiff/defendant
singular/plural when/where when/who where/who
"""
OPPOSITES: Final[dict[str, frozenset[str]]] = {}
for _group in _OPPOSITES.split():
    for _word in (_members := _group.split("/")):
        OPPOSITES[_word] = OPPOSITES.get(_word, frozenset()) | (frozenset(_members) - {_word})

CONNECTORS: Final = _set(
    """
    to from than into vs versus over before after by of for with without against through in on under above below
    """
)
"""What stands left and right of these words is not the same: "from A to B" is not "from B to A"."""

FUNCTION_WORDS: Final = _set(
    """
    a an the this that these those is are was were be been being am do does did doing done have has had having will would
    can could should shall may might must i you he she it we they me him her us them my your his its our their mine yours
    what which who whom whose when where why how to of in on at by for with from as into about than then so if and or but
    not no nor also just only very really too any some all there here get got getting s t d ll m re ve don doesn didn isn
    aren wasn weren won wouldn couldn shouldn hasn haven up out off over under again more most much many one ones ever
    someone something anyone people person way ways vs versus between against through like make makes made without before
    after during while because
    """
)

COURTESIES: Final = frozenset({"please", "kindly", "hello", "hi", "hey", "thank", "thanks"})
"""Where these stand says nothing."""

ALIASES: Final = {
    "usa": "us",
    "uk": "uk",
    "u.s": "us",
    "u.s.a": "us",
    "u.k": "uk",
    "america": "us",
    "american": "us",
    "americans": "us",
    "britain": "uk",
    "british": "uk",
    "indian": "india",
    "indians": "india",
    "chinese": "china",
    "russian": "russia",
    "german": "germany",
    "french": "france",
    "japanese": "japan",
    "pc": "computer",
    "tv": "television",
}
"""Two names of one thing, so that a guard does not part them."""
