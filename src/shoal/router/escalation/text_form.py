"""What a text looks like: lengths, numbers, kinds of question. Counts that mean the same on any subject."""

import math
import re

__all__ = ["ANSWER_FEATURES", "TEXT_FEATURES", "answer_form", "text_form"]

WORD = re.compile(r"\w+")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
SYMBOL = re.compile(r"[^\w\s.,;:?!'\"()-]")
SENTENCE = re.compile(r"[.!?](?:\s|$)")
NEGATION = re.compile(
    r"\b(?:not|no|never|none|except|false|incorrect|least|without|cannot)\b|n't\b", re.IGNORECASE
)
QUESTIONS = tuple(
    re.compile(rf"\b(?:{word})\b", re.IGNORECASE)
    for word in ("what", "which", "who|whose|whom", "when|year|date", "where|country|city", "why", "how")
)
NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+")
HEDGE = re.compile(
    r"\b(?:may|might|could|probably|possibly|perhaps|likely|usually|often|some|unclear|unknown|depends|about)\b",
    re.IGNORECASE,
)
REFUSAL = re.compile(r"\b(?:sorry|unable|cannot|can't|don't know|no information|not sure)\b", re.IGNORECASE)
YES_NO = re.compile(r"^\W*(?:yes|no|true|false)\b", re.IGNORECASE)

TEXT_FEATURES = 10 + len(QUESTIONS)
ANSWER_FEATURES = 11


def text_form(text: str) -> list[float]:
    """`TEXT_FEATURES` numbers, all finite."""
    words = WORD.findall(text)
    numbers = NUMBER.findall(text)
    return [
        math.log1p(len(text)),
        math.log1p(len(words)),
        sum(map(len, words)) / max(1, len(words)),
        math.log1p(len(numbers)),
        max((math.log1p(len(number)) for number in numbers), default=0.0),
        math.log1p(len(SYMBOL.findall(text))),
        math.log1p(len(SENTENCE.findall(text))),
        math.log1p(len(NAME.findall(text))),
        math.log1p(len(NEGATION.findall(text))),
        len({word.lower() for word in words}) / max(1, len(words)),
        *(float(question.search(text) is not None) for question in QUESTIONS),
    ]


def answer_form(answer: str, prompt: str) -> list[float]:
    """`ANSWER_FEATURES` numbers about an answer, all finite."""
    words = [word.lower() for word in WORD.findall(answer)]
    asked = {word.lower() for word in WORD.findall(prompt)}
    return [
        math.log1p(len(answer)),
        math.log1p(len(words)),
        math.log1p(len(NUMBER.findall(answer))),
        math.log1p(len(SYMBOL.findall(answer))),
        sum(word in asked for word in words) / max(1, len(words)),
        float(answer[:1].isupper()),
        float(answer.rstrip().endswith(".")),
        float(HEDGE.search(answer) is not None),
        float(REFUSAL.search(answer) is not None),
        float(YES_NO.search(answer) is not None),
        float(NEGATION.search(answer) is not None),
    ]
