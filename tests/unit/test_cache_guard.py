"""The lexical guard: each rule with questions it must part and twins it must let through."""

from __future__ import annotations

import pytest

from engine.cache.guard.language import language_of
from engine.cache.guard.rules import refuse
from engine.cache.guard.text import tokens

REFUSED = {
    "number": [
        ("Convert 5 kg to pounds", "Convert 50 kg to pounds"),
        ("Who won the cup in 1998?", "Who won the cup in 2002?"),
        ("Upgrade from 1.2.3 to 1.2.4", "Upgrade from 1.2.3 to 1.3.0"),
        ("Name three rivers of Peru", "Name 4 rivers of Peru"),
        ("Name the ten longest rivers", "Name the longest rivers"),
        ("What is two hundred and five in binary?", "What is 250 in binary?"),
    ],
    "unit": [
        ("How much is 40 kg in pounds?", "How much is 40 kg in ounces?"),
        ("Is 30 minutes of running enough?", "Is 30 seconds of running enough?"),
        ("Wake me at 5 am", "Wake me at 5pm"),
        ("Change 20 euros into yen", "Change $20 into yen"),
    ],
    "code": [
        ("What does get_user_name() return?", "What does set_user_name() return?"),
        ("How do I load config.yaml?", "How do I load config.json?"),
        ("What does error E1001 mean?", "What does error E1002 mean?"),
        ("Run it with --force", "Run it with --dry-run"),
        (f"Is {'k' * 80}a a valid token?", f"Is {'k' * 80}b a valid token?"),
    ],
    "negation": [
        ("Which plants need sun?", "Which plants don't need sun?"),
        ("Soups with garlic", "Soups without garlic"),
        ("Start the pump with a key", "Start the pump witthout a key"),
        ("How do I tell my landlord?", "How not to tell my landlord?"),
        ("Files that were opened", "Files that were never opened"),
        ("Name two renewable fuels", "Name two non-renewable fuels"),
    ],
    "antonym": [
        ("How do I enable 2FA?", "How do I disable 2FA?"),
        ("Encrypt my backup", "decrypt my backup"),
        ("Turn the lamp on", "Turn the lamp off"),
        ("Is snow shovelling legal?", "Is snow shovelling illegal?"),
        ("What raises blood pressure?", "What lowers blood pressure?"),
        ("Please continue serializing it", "Please continue deserializing it"),
        ("Get ink out of jeans", "Get ink into jeans"),
        ("Do most owls hunt at night?", "Do some owls hunt at night?"),
        ("Are all odd numbers prime?", "Are all even numbers prime?"),
    ],
    "direction": [
        ("Trains from Leeds to Hull", "Trains from Hull to Leeds"),
        ("Turn a list into a set", "Turn a set into a list"),
        ("Is tea better than coffee?", "Is coffee better than tea?"),
        ("Does Ann owe Bob money?", "Does Bob owe Ann money?"),
        ("Replace butter with olive oil", "Replace olive oil with butter"),
        ("Who taught Plato?", "Who did Plato teach?"),
        ("What is 20 celsius in fahrenheit?", "What is 20 fahrenheit in celsius?"),
    ],
    "quantifier": [
        ("Show only open tickets", "Show open tickets"),
        ("Drop all rows", "Drop rows"),
        ("Who was the second mayor of Hull?", "Who was the mayor of Hull?"),
        ("Send the report daily", "Send the report weekly"),
    ],
    "entity": [
        ("Sort a list in Python", "Sort a list in Ruby"),
        ("weather in oslo", "weather in bergen"),
        ("What is the population of Chile?", "What is the population of the United Kingdom?"),
        ("Capital of Niger", "Capital of Nigeria"),
        ("Book a table on Monday", "Book a table on Friday"),
        ("Meeting in may", "Meeting in june"),
        ("How do I reach Acmecorp?", "How do I reach Zetatrade?"),
        ("Plots in R", "Plots in Julia"),
        ("Which foods have vitamin A?", "Which foods have vitamin C?"),
        ("Is vitamin D in milk?", "Is vitamin C in milk?"),
    ],
    "word": [
        ("How do I grill salmon?", "How do I grill trout?"),
        ("Who invented the telephone?", "Who invented the radio?"),
        ("my cat ate chocolate", "my dog ate chocolate"),
        ("What does an architect earn?", "What does a dental nurse earn?"),
    ],
    "question": [
        ("How do I leave my choir?", "Should I leave my choir?"),
        ("Why did I leave my choir?", "When should I leave my choir?"),
        ("Where do eels spawn?", "When do eels spawn?"),
        ("Who invented the zip?", "In what year was the zip invented?"),
        ("Why is the lake green?", "Is the lake green?"),
        ("What makes the lake green?", "Is the lake green?"),
        ("How often do newts eat?", "Where do newts eat?"),
        ("How many moons are there?", "Which moons are there?"),
        ("What is a glacier?", "Where is a glacier?"),
        ("Can I repaint a kayak?", "Do I have to repaint a kayak?"),
        ("Is it worth repainting a kayak?", "How do I repaint a kayak?"),
        ("What did I pack for the hike?", "What should I pack for the hike?"),
        ("What is the best time to prune figs?", "How do I prune figs?"),
    ],
    "language": [
        ("¿Cómo cambio la contraseña de mi cuenta?", "How do I change the password of my account?"),
        ("Как сменить пароль?", "How do I change my password?"),
        ("Wie ist das Wetter und wo?", "Quel est le temps et où?"),
    ],
}
SERVED = [
    ("How do I get a refund?", "How can I obtain a refund?"),
    ("The distinction between lakes and ponds", "the difference between ponds and lakes"),
    ("Sum the given numbers", "sum the provided numbers"),
    ("Who led the french rveolution?", "Who led the French Revolution?"),
    ("What's the boiling point of iron?", "what is the boiling point of iron"),
    ("Tonight I can't log in", "tonight I cannot login"),
    ("Feed four dogs", "Feed 4 dogs"),
    ("Room for 1,000 guests", "room for 1k guests"),
    ("Room for 1000 guests", "room for one thousand guests"),
    ("A bag of 5kg", "a bag of 5 kilograms"),
    ("twenty-five knots", "25 knots"),
    ("A flat with 1 bedroom", "a flat with one bedroom"),
    ("Hey, quick question - is jade a stone?", "Is jade a stone?"),
    ("Could you please tell me how tides work? Thanks in advance!", "how tides work"),
    ("HOW   DO TIDES WORK", "how do tides work?"),
    ("In Python, how do I reverse a string?", "How do I reverse a string in Python?"),
    ("From Leeds to Hull by train", "To Hull from Leeds by train"),
    ("What color is ink?", "What colour is ink?"),
    ("Summarise my notes", "Summarize my notes"),
    ("web site down", "website down"),
    ("What is artificial intelligence?", "What is AI?"),
    ("U.S.A. exports", "US exports"),
    ("How do I recognise a travelled coin?", "How do I recognize a traveled coin?"),
    ("I don't know how to thicken a sauce", "How to thicken a sauce"),
    (
        "The difference between an inner join and a left join",
        "The difference between a left join and an inner join",
    ),
    ("How do I get ready for the audit?", "How do I prepare for the audit?"),
    ("Decide when to plant beans", "The decision when to plant beans"),
    ("I forgot my PIN, what now?", "My PIN is forgotten, what can I do now?"),
    ("Why do my tomato leaves curl up every summer?", "Reasons for curled leaves on tomato plants in hot months"),
    ("How can I quit smoking for good?", "Ways to give up cigarettes"),
    ("cómo cambio mi contraseña", "¿Cómo cambio mi contraseña?"),
    ("iPhone battery drains", "iphone battery drains"),
    ("Can I freeze soup?", "How can I freeze soup?"),
    ("Is it possible to freeze soup?", "How do I freeze soup?"),
    ("What is the best way to freeze soup?", "Ways to freeze soup"),
    ("I want to freeze soup", "show me how to freeze soup"),
    ("Why is the lake green?", "How come the lake is green?"),
    ("What makes the lake green?", "What is the reason the lake is green?"),
    ("Who wrote the anthem?", "Which person wrote the anthem?"),
    ("When did the mill burn down?", "In which year did the mill burn down?"),
    ("When should I prune figs?", "What is the best time to prune figs?"),
    ("How often do newts eat?", "How many times a day do newts eat?"),
    ("Where can I buy saffron?", "How can I buy saffron?"),
    ("Should I tip a guide?", "Do I have to tip a guide?"),
    ("What is entropy?", "Explain entropy"),
    ("Write a function that sorts a list", "How do I write a function that sorts a list?"),
    ("Do the laundry at sixty degrees", "How do I do the laundry at sixty degrees?"),
    ("Is it worth buying a kayak?", "Is it worht buying a kayak?"),
    ("Are there bears in the park?", "How many bears are there in the park?"),
    ("Users who have no orders", "When have users no orders?"),
    ("How long since the mill burned down?", "When did the mill burn down?"),
    ("Has the ferry left?", "Did the ferry leave?"),
    ("May 5 parades in Rome", "When are the parades in Rome on 5 May?"),
    ("Should I vote?", "Why should I vote?"),
    ("Is the lake green? Why?", "Why is the lake green?"),
]


@pytest.mark.req("cache.verify")
@pytest.mark.parametrize(("rule", "pairs"), REFUSED.items(), ids=str)
def test_each_rule_parts_questions_with_different_answers(rule: str, pairs: list[tuple[str, str]]) -> None:
    """The rule that has to speak speaks, whichever question came first."""
    found = {(a, b): refuse(a, b) for one, other in pairs for a, b in ((one, other), (other, one))}
    assert {pair: refused.rule if refused else None for pair, refused in found.items()} == dict.fromkeys(
        found, rule
    )


@pytest.mark.req("cache.verify")
@pytest.mark.parametrize(("asked", "stored"), SERVED)
def test_the_same_question_in_other_words_is_let_through(asked: str, stored: str) -> None:
    """Synonyms, typos, contractions, number formats, politeness, order and spelling refuse nothing."""
    assert refuse(asked, stored) is None
    assert refuse(stored, asked) is None


@pytest.mark.req("cache.verify")
def test_no_word_that_is_remembered_is_endless() -> None:
    """A word of any length is compared in 64 characters at most, and stays another word than its neighbour."""
    keys = [tokens(f"open {'k' * size}")[1].key for size in (64, 65, 66, 10_000)]
    assert max(map(len, keys)) <= 64
    assert len(set(keys)) == 4


@pytest.mark.req("cache.verify")
def test_a_refusal_names_what_it_saw() -> None:
    """The detail quotes both words."""
    refused = refuse("enable 2FA", "disable 2FA")
    assert refused is not None
    assert sorted(refused.detail.split(" against ")) == ["disable", "enable"]


@pytest.mark.req("cache.verify")
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "en"),
        ("42?", "en"),
        ("reset password", "en"),
        ("Where is my parcel?", "en"),
        ("la la land soundtrack", "en"),
        ("¿Dónde está mi paquete y cuándo llega?", "es"),
        ("Wo ist mein Paket und wann kommt es?", "de"),
        ("Où est mon colis et quand arrive-t-il ?", "fr"),
        ("Dove si trova il mio pacco?", "it"),
        ("Onde está minha encomenda e quando chega?", "pt"),
        ("Где моя посылка?", "cyrillic"),
        ("我的包裹在哪里", "zh"),
        ("荷物はどこですか", "ja"),
        ("내 소포는 어디에 있나요", "ko"),
        ("أين طردي", "ar"),
    ],
)
def test_a_question_has_one_language(text: str, code: str) -> None:
    """Script first, then the commonest words; without evidence it is English."""
    assert language_of(text) == code
