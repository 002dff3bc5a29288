"""Questions about flights: intent and slots. Made for ATIS (Hemphill et al. 1990)."""

from pydantic import BaseModel, ConfigDict

from shoal import Agent


class FlightQuestion(BaseModel):
    model_config = ConfigDict(frozen=True)

    intent: str
    slots: dict[str, list[str]]
    """Name to values, names and values in the order of the text."""


def says_words_of_the_question(text: str, question: FlightQuestion) -> bool:
    """Every value stands in the text, case aside."""
    return all(value.casefold() in text.casefold() for values in question.slots.values() for value in values)


flight_reader = Agent(
    "flight-reader",
    job="Read a question about flights and give its intent and slots as JSON.",
    model="embedded:smollm2:135m",
    output=FlightQuestion,
    checks=[says_words_of_the_question],
    max_tokens=384,
)
