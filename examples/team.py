"""One mail, two requests, two narrow agents, no large model: python examples/team.py"""

import re

from pydantic import BaseModel

from shoal import Agent, Passage, Scored, Team


class Order(BaseModel):
    order_id: str
    total: float | None


def read_order(text: str) -> Scored[Order | None]:
    """Find the order; a pattern does this better than a small language model, and says when it cannot."""
    order_id = re.search(r"\b[A-Z]{1,3}-?\d{3,}\b", text)
    total = re.search(r"(\d+[.,]\d\d) ?(?:EUR|€)", text)
    if order_id is None:
        return Scored(None, 0.0)
    amount = float(total[1].replace(",", ".")) if total else None
    return Scored(Order(order_id=order_id[0], total=amount), 0.99)


def quote(text: str, passages: tuple[Passage, ...]) -> str:
    """Answer with the best passage, as it stands."""
    del text
    return passages[0].text


team = Team(
    agents=[
        Agent("summariser", job="Summarise a text in one sentence.", model="small", max_tokens=60),
        Agent("order-reader", job="Extract the order number and the total.", model=read_order, output=Order),
        Agent(
            "handbook",
            job="Answer questions about delivery and returns.",
            model=quote,
            knowledge="examples/handbook",
        ),
    ],
    large=None,  # or "ollama:qwen3:32b": then what is not good enough is escalated instead of flagged
)

if __name__ == "__main__":
    result = team.run_sync(
        "How long do I have to send goods back, and please read the order number and total of"
        " my order AB-1234 over 59.90 EUR"
    )
    print(result.answer)
    for step in result.steps:
        print(f"{step.agent}: {step.status}, confidence {step.confidence:.2f}, {step.model}")
