"""Questions about flights: intent and slots. Made for ATIS (Hemphill et al. 1990)."""

from pydantic import BaseModel, ConfigDict

from shoal import Agent, Verbatim


class FlightQuestion(BaseModel):
    model_config = ConfigDict(frozen=True)

    intent: str
    slots: dict[str, list[Verbatim]]
    """Name to values, names and values in the order of the text."""


flight_reader = Agent(
    "flight-reader",
    job="Read a question about flights and give its intent and slots as JSON.",
    model="embedded:smollm2:135m",
    output=FlightQuestion,
    max_tokens=384,
)
