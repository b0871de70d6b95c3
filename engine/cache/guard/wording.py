"""Closed word lists of the guard: what carries little meaning, what negates, what counts. Tables only."""

from __future__ import annotations

from typing import Final


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(phrase.split()) for phrase in text.split("|"))


FILLER: Final = _set(
    "a an the is are was were be been being am do does did doing have has had having will would "
    "shall should could can may might must of in on at for with by as to from into onto that this "
    "these those there here it its i me my mine myself we us our ours ourselves you your yours "
    "yourself he him his himself she her hers herself they their theirs them themselves oneself and "
    "or so but if then than about per upon via while because since though although whether let lets "
    "ain re ve ll d s t m ok okay well oh also too up out off over such very really just actually "
    "exactly even still quite simply basically literally please kindly ever etc own both besides "
    "according regarding able got someone somebody something anyone anybody anything one ones people "
    "person thing things stuff lot lots kind sort some any following particular certain various each dr "
    "mr mrs ms"
)
"""Words whose presence on one side only says nothing about the answer."""

WH: Final = _set("what which who whom whose when where why how")
DIRECTED: Final = _set(
    "from to into onto in than over before after by for with of on at against through until till as"
)
"""Markers between two things that may not be exchanged."""
TURNING_FILLERS: Final = frozenset(
    frozenset(pair.split("/"))
    for pair in _set(
        "on/off up/down in/out over/under to/from into/from into/out into/off onto/off "
        "odd/even for/against "
        "more/exactly less/exactly own/rent own/lease own/buy both/either some/most some/all any/all few/some"
    )
)
"""Little words that turn a question round when they are exchanged in it."""
MONTH_BEFORE: Final = _set("in of since until till during next last early late mid before after")
SYMMETRIC: Final = _set("and or vs versus v between nor")
MUTUAL: Final = _set(
    "difference differ different compare comparison distinction distinguish similarity similar vs versus"
)
"""In a question with one of these, two things may change places."""
NEGATION: Final = _set(
    "not never without no none nobody nothing nowhere neither nor cannot hardly barely unable lacking lack except "
    "non"
)
CONTRACTIONS: Final = {
    "can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not", "ain't": "is not",
    "dont": "do not", "doesnt": "does not", "didnt": "did not", "isnt": "is not", "arent": "are not",
    "wasnt": "was not", "werent": "were not", "cant": "can not", "wont": "will not", "couldnt": "could not",
    "shouldnt": "should not", "wouldnt": "would not", "havent": "have not", "hasnt": "has not", "hadnt": "had not",
    "whats": "what is", "wheres": "where is", "whos": "who is", "hows": "how is", "whens": "when is",
    "thats": "that is", "theres": "there is", "im": "i am", "ive": "i have", "youre": "you are",
    "theyre": "they are", "weve": "we have", "youve": "you have", "gonna": "going to", "wanna": "want to",
    "gotta": "got to", "gimme": "give me", "lemme": "let me", "y'all": "you", "ur": "your", "u": "you", "r": "are",
    "pls": "please", "plz": "please", "thx": "thanks", "ppl": "people", "w/o": "without", "w/": "with",
    "alot": "a lot", "an": "a", "let's": "let us", "thru": "through", "cuz": "because", "coz": "because",
    "aint": "is not", "tho": "though", "btw": "", "asap": "soon", "etc": "",
}  # fmt: skip
"""Whole tokens written out. The endings n't, 's after a question word, 're, 've, 'll, 'd and 'm follow by rule."""
ENDINGS: Final = {"re": "are", "ve": "have", "ll": "will", "d": "would", "m": "am"}
IS_AFTER: Final = WH | _set("that there here it he she this everything everyone something let")
"""After these, 's is "is"; elsewhere it marks an owner and is dropped."""

LETTERED: Final = _set(
    "vitamin hepatitis plan grade type class level group point option section part team series model"
)
"""Before a single letter that is a name: vitamin A."""

BEFORE: Final = _phrases(
    """
hey there | hi there | hello there | hi all | hi everyone | hello everyone | hey guys | hi guys | hey |
hi | hello | greetings | good morning | good afternoon | good evening | good day | dear all | dear team |
yo | ok | okay | so | well | um | hmm | quick question | quick one | quick query | simple question |
one question | one quick question | a quick question | a question | just a quick question |
another question | stupid question | silly question | dumb question | noob question | question |
excuse me | sorry to bother you | sorry to bother | sorry to ask | sorry | pardon me | please | pls |
kindly | just | just wondering | just curious | curious | out of curiosity | i was wondering |
i am wondering | i wonder | i was curious | i am curious | wondering | i would like to know |
i would love to know | i want to know | i need to know | i would like to ask | i want to ask |
i have a question | i have a quick question | i need you to | i want you to | i would like you to |
i need your help | i need help | help me understand | help me | need help | could you | can you |
would you | will you | could you please | can you please | would you please | could you tell me |
can you tell me | would you tell me | could you please tell me | can you please tell me | please tell me |
tell me | let me know | please let me know | could you let me know | can you let me know |
could you explain | can you explain | please explain | could you help me | can you help me |
can someone tell me | could someone tell me | can anyone tell me | could anyone tell me |
does anyone know | does anybody know | do you know | do you happen to know | i do not know |
i do not understand | i have no idea | i am not sure | not sure | i can not figure out |
i can not work out | any idea | any ideas | any chance you know | may i ask | may i know | might i ask |
would you mind telling me | would you mind | do you mind telling me | would it be possible to |
is it possible to tell me | if you do not mind | if you would not mind | if possible |
when you get a chance | when you have a moment | when you have time | if you have time |
thanks in advance | thank you in advance
"""
)
AFTER: Final = _phrases(
    """
please | pls | thanks | thank you | thank you very much | thank you so much | thanks a lot |
thanks so much | thanks very much | many thanks | thanks in advance | thank you in advance |
thanks for your help | thank you for your help | thanks for the help | cheers | much appreciated |
appreciate it | i appreciate it | i would appreciate it | any help is appreciated |
any help would be appreciated | any help appreciated | regards | best regards | kind regards |
if possible | if you can | if you could | if you do not mind | if you would | when you can |
when you have a moment | when you get a chance | when you have time | for me | please help |
please help me | can you help | can you help me | just curious | just wondering | or not | ok | okay |
do you know | any ideas | any idea
"""
)
QUANTIFIERS: Final = {
    "all": "all", "every": "all", "everyone": "all", "everybody": "all", "everything": "all",
    "always": "all", "entire": "all", "only": "only", "solely": "only", "exclusively": "only", "most": "most",
    "mostly": "most", "majority": "most", "few": "few", "rarely": "few", "seldom": "few", "half": "half",
    "several": "several", "many": "many", "least": "least", "twice": "twice", "thrice": "thrice", "once": "once",
    "second": "second", "first": "first", "double": "double", "triple": "triple", "either": "either",
    "daily": "daily", "weekly": "weekly",
    "monthly": "monthly", "yearly": "yearly", "annually": "yearly", "hourly": "hourly",
}  # fmt: skip
STRICT_QUANTITIES: Final = _set(
    "all only least first second twice thrice once double triple daily weekly monthly yearly hourly"
)
"""Quantities that change the answer although the other side names none."""
AUXILIARY: Final = _set(
    "do does did is are was were am be can could should would will shall may might must has have had"
)
"""Verbs behind a question word by which it asks."""
LEADING: Final = _set("in at on for from by to since during of until with about into")
"""At the end of a question they say what it asks for: what is it for."""
ORDERED: Final = _set("a an the my your our his her its their this that these those it some any not")
"""Behind a first do or have, these make an order of it more often than a question."""
FACTS: Final = {
    "is": "is", "are": "is", "am": "is", "was": "is", "were": "is", "do": "do", "does": "do", "did": "did",
    "has": "has", "have": "has", "will": "will", "must": "duty",
}  # fmt: skip
"""First words of a question that yes or no answers, and the kind it has."""
ADVISED: Final = _phrases(
    "should|is it worth|is it worthwhile|is it a good idea to|is it a good idea|is it advisable to|is it wise to"
)
ALLOWED: Final = _phrases(
    "can|could|may|might|is it possible to|is it possible for|is it possible|am i able to|are you able to|"
    "am i allowed to|are you allowed to|is there any way|is there a way|are there any ways|are there ways"
)
"""People ask so for the manner too."""
AMOUNTS: Final = {
    "many": "how_much", "much": "how_much", "long": "how_long", "often": "how_often", "frequently": "how_often",
    "far": "how_far", "old": "how_old", "tall": "how_tall", "high": "how_tall", "deep": "how_deep",
    "fast": "how_fast", "heavy": "how_heavy", "wide": "how_wide", "hot": "how_hot", "cold": "how_hot",
    "expensive": "how_much",
}  # fmt: skip
COUNTED_AS: Final = {
    "times": "how_often", "time": "how_long", "minutes": "how_long", "hours": "how_long", "days": "how_long",
    "weeks": "how_long", "months": "how_long", "years": "how_long", "miles": "how_far", "kilometers": "how_far",
    "kilometres": "how_far", "km": "how_far",
}  # fmt: skip
"""How many of these asks for a figure of its own."""
ASKED_FOR: Final = {
    "way": "manner", "ways": "manner", "steps": "manner", "method": "manner", "methods": "manner",
    "process": "manner", "reason": "reason", "reasons": "reason", "cause": "reason", "causes": "reason",
    "time": "time", "year": "time", "date": "time", "day": "time", "month": "time",
}  # fmt: skip
"""Nouns behind what and which that say which kind of answer is wanted …"""
ASKED_BEFORE: Final = _set("to of for that when")
"""… when a verb or one of these follows: the best time to, not the time complexity."""
REASONED: Final = _set("causes cause caused makes make made")
"""What does this to it asks why."""
OBLIGED: Final = frozenset({("have", "to"), ("need", "to")})
PLACED: Final = _set(
    "get find buy watch download learn see obtain purchase order read listen meet apply go change set turn "
    "place location center centre spot shop store restaurant hotel city country school hospital site website"
)
"""With one of these, where asks for much the same as how or what: where to buy it, which is the best place."""
SAME: Final = frozenset(
    frozenset(pair.split("/"))
    for pair in _set(
        "manner/ability manner/thing is/do is/will do/will is/has do/has did/has did/is "
        "is/ability do/ability will/ability advice/duty do/duty do/thing "
        "person/thing how_much/thing how_much/is how_much/do how_tall/how_much how_far/how_long how_long/how_much"
    )
)
"""Kinds of answer that people ask for in each other's words."""
TURNS: Final = {
    "did": "did", "do": "do", "does": "do", "should": "should", "will": "will", "can": "can", "could": "can",
    "must": "must",
}  # fmt: skip
"""Verbs right behind a question word, as ``TURNED`` names them."""
TURNED: Final = frozenset(
    frozenset(pair.split("/")) for pair in _set("did/should did/will did/do did/can did/must")
)
"""Verbs behind one question word that ask about something else: what did I do, what should I do."""
STOP_WORDS: Final = {
    "en": _set(
        "the is are what how why which who where when do does did can could would should i you my your it of "
        "and to in for with not a an that this from be have has was will there or if on at by as about"
    ),
    "es": _set(
        "el la los las un una de del que qué cómo como por para con cuál cuáles dónde cuándo quién está están "
        "es son puedo mi tu su hay más y en se lo sin pero muy cuanto cuánto puede tengo hacer mejor"
    ),
    "fr": _set(
        "le la les un une des du de que qui quoi comment pourquoi est sont dans pour avec sur quel quelle "
        "quels où je tu il nous vous mon ma mes ce cette et au aux pas ne puis faire sans quelles peut avoir "
        "meilleur"
    ),
    "de": _set(
        "der die das ein eine einen dem den des und ist sind wie was warum wo wann wer welche welcher ich du "
        "er sie wir ihr mein nicht mit für von zu auf im am kann man oder bei nach ohne über habe haben gibt "
        "diese dieser zum zur"
    ),
    "it": _set(
        "il lo la gli le un una di del della che chi come perché dove quando quale quali è sono per con non "
        "mio mia posso nel nella cosa e si da più senza fare puoi migliore sulla"
    ),
    "pt": _set(
        "o os as um uma de do da dos das que como por para com qual quais onde quando quem é são eu meu minha "
        "não em no na posso mais e se sem você fazer melhor"
    ),
    "nl": _set(
        "de het een en van wat hoe waarom waar wanneer wie welke is zijn ik jij je mijn niet met voor op kan "
        "naar aan bij uit ook zonder hoeveel maak heb heeft"
    ),
    "pl": _set(
        "jak co czy dlaczego gdzie kiedy kto jest są nie w na do z i się dla od po jaki jaka który moje mój"
    ),
    "tr": _set("bir ve ne nasıl neden nerede kim bu için ile mi mı mu mü değil hangi var yok daha çok"),
    "sv": _set("en ett och är hur vad varför var när vem jag du min det som på av med för inte kan till"),
    "id": _set("apa bagaimana mengapa yang di ke dari dan untuk dengan ini itu saya anda tidak adalah cara bisa"),
    "vi": _set("là gì làm thế nào tại sao ở đâu khi ai của và cho không tôi bạn có được một"),
}
"""Commonest words of a language. Shared ones count for each, so a language needs words of its own to win."""
