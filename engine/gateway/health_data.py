"""Health data of somebody: record numbers, diagnosis codes, conditions, medicines (admit.data). Pure, linear time.

A condition alone is a topic; it counts when a person and a word that connects the two stand before it. Not
personal data in general: ``engine/gateway/data_class.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_NEAR: Final = 40
"""Characters around a diagnosis code in which its context may stand."""
_CONDITIONS: Final = """
    diabetes diabetic cancer carcinoma tumour tumor leukemia leukaemia lymphoma hiv aids hepatitis tuberculosis
    asthma copd epilepsy schizophrenia bipolar depression anxiety adhd autism dementia alzheimer alzheimers
    parkinson parkinsons sclerosis arthritis hypertension stroke pneumonia anemia anaemia psoriasis crohn crohns
    migraine pregnant pregnancy miscarriage abortion chlamydia syphilis gonorrhea herpes anorexia bulimia ptsd
    melanoma chemotherapy dialysis biopsy
"""
_MEDICINES: Final = """
    metformin insulin sertraline fluoxetine lisinopril atorvastatin amlodipine levothyroxine omeprazole warfarin
    methotrexate prednisone oxycodone morphine methadone lithium quetiapine escitalopram citalopram ritalin
    methylphenidate xanax alprazolam ibuprofen amoxicillin tamoxifen humira adalimumab
"""
_TERMS: Final = frozenset((*_CONDITIONS.split(), *_MEDICINES.split()))
_TOKEN: Final = re.compile(r"[A-Za-z]{1,30}(?:'[a-z]{1,3})?|[.?!\n]")
_ENDS: Final = frozenset(".?!\n")
_PEOPLE: Final = frozenset(("patient", "employee", "client", "customer", "candidate", "tenant", "claimant"))
_TITLES: Final = frozenset(("mr", "mrs", "ms", "miss", "dr", "herr", "frau"))
_ONE: Final = frozenset(("the", "our", "my", "this", "your", "", ".", "\n"))
"""Before «patient»; the last three are the beginning of a sentence."""
_MINE: Final = frozenset(("my", "mein", "meine"))
_MYSELF: Final = frozenset(("i", "me", "i'm", "i've", "he", "she", "he's", "she's"))
_KIN: Final = """
    wife husband son daughter mother father mum mom dad brother sister partner child friend colleague employee
    boss neighbour neighbor grandmother grandfather aunt uncle
    doctor physician psychiatrist therapist vater mutter frau mann sohn tochter bruder schwester
"""
_FAMILY: Final = frozenset(_KIN.split())
_STRONG: Final = """
    diagnosed diagnosis prescribed suffer suffers suffering treated positive hospitalised hospitalized admitted
    undergoing receiving history recovering living put died leidet
"""
_TOLD: Final = frozenset(_STRONG.split())
_WEAK: Final = "has have had take takes taking am is was with i'm i've he's she's hat nimmt"
_SAID: Final = frozenset(_WEAK.split())
_FIELD: Final = frozenset(
    ("research", "researcher", "study", "studies", "paper", "clinic", "centre", "essay", "thesis")
)
_APART: Final = frozenset(("of", "about", "for", "in", "from"))
"""After one of these a weak verb says nothing more about the person: «I take photos of»."""
_OPENING: Final = frozenset(("the", "a", "an", "what", "how", "why", "when", "is", "does", "do", "if", "which"))
_FAR: Final = -1_000
_WHO_TOLD, _TOLD_TERM, _WHO_SAID, _SAID_TERM = 14, 8, 6, 3
"""Words at most from a person to what was told of it, from there to the condition; the same for weaker verbs."""
_POSITIVE: Final = re.compile(r"(?:^|[.?!\n]) {0,2}([a-z]{3,20})[ -]positive\b([^.?!\n]{0,90})")
_RECORD: Final = re.compile(
    r"\b(?:mrn|medical record(?: number| no\.?)?|patient (?:id|number|no\.?|record)|patientennummer"
    r"|hospital number)"
    r"[\s:#.-]{0,4}(?:is )?[a-z]{0,4}-?\d[\d-]{3,14}"
)
_ICD: Final = re.compile(r"(?<![\w.-])[A-TV-Z]\d[0-9AB](?:\.[0-9A-Z]{1,4})?(?![\w-])")
_ICD_CONTEXT: Final = re.compile(
    r"\b(?:diagnos\w{1,4}|dx|patient|admitted|suffers|icd(?:-?10)?(?:-cm)?(?: code)?)\b", re.IGNORECASE
)
_ICD_QUESTION: Final = re.compile(
    r"\b(?:mean|means|meaning|stands? for|look ?up|explain|validate|regex|function|parse)\b", re.IGNORECASE
)
Rule = tuple[str, frozenset[str], Callable[[str, str], bool]]


def health_of_somebody(text: str, _lower: str) -> bool:
    """A condition or medicine soon after a person and a word that connects the two, in one sentence. One pass."""
    who = told = said = _FAR
    before, pending = "", False
    for place, found in enumerate(_TOKEN.finditer(text)):
        token, word = found[0], found[0].lower()
        if pending and word not in _FIELD:
            return True
        near = place - told <= _TOLD_TERM or place - said <= _SAID_TERM or before.lower() in _MINE
        pending = word.removesuffix("'s") in _TERMS and near
        if word == "." and before.lower() in _TITLES:
            continue
        if word in _ENDS:
            who = told = said = _FAR
        elif _is_person(token, word, before):
            who = place
        if word in _TOLD and place - who <= _WHO_TOLD:
            told = place
        if word in _APART:
            said = _FAR
        elif place - who <= _WHO_SAID and _connects(word, before):
            said = place
        before = token
    return pending


def tested_positive(_text: str, lower: str) -> bool:
    """«HIV positive, what should I take»: begins with the finding, the person comes after it."""
    return any(m[1] in _TERMS and not _MYSELF.isdisjoint(_TOKEN.findall(m[2])) for m in _POSITIVE.finditer(lower))


def _is_person(token: str, word: str, before: str) -> bool:
    """Whether ``token`` ends the mention of one person: I, my mother, our patient, Mr Keller, Maria Lopez."""
    last = before.lower()
    if word in _MYSELF or (word in _FAMILY and last in _MINE) or (word in _PEOPLE and last in _ONE):
        return True
    if not token[0].isupper() or len(token) < 2:
        return False
    return last in _TITLES or last == "patient" or (before[:1].isupper() and last not in _OPENING)


def _connects(word: str, before: str) -> bool:
    return word in _SAID or (word == "on" and (before.lower() in _SAID or before == "while"))


def diagnosis_code(text: str, _lower: str) -> bool:
    """A code of ICD-10 beside a word of diagnosis, unless the text asks about the code itself."""
    if _ICD_QUESTION.search(text):
        return False
    return any(_ICD_CONTEXT.search(text[max(0, m.start() - _NEAR) : m.end() + _NEAR]) for m in _ICD.finditer(text))


def medical_record(_text: str, lower: str) -> bool:
    """A number that is called a medical record's or a patient's."""
    return _RECORD.search(lower) is not None


HEALTH_RULES: Final[tuple[Rule, ...]] = (
    ("medical_record", frozenset(("mrn", "record", "patient", "patientennummer", "hospital")), medical_record),
    (
        "icd10",
        frozenset(
            ("icd", "diagnosis", "diagnosed", "diagnoses", "diagnose", "dx", "patient", "admitted", "suffers")
        ),
        diagnosis_code,
    ),
    ("health", _TERMS, health_of_somebody),
    ("health", frozenset(("positive",)), tested_positive),
)
"""Name, the words of which a text needs one, and the test, given the text and the text in small letters."""
