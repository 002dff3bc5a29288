"""One mail, one desk: the project's agents as nodes of a plain LangGraph graph, its router as the edge.

The team (`shoal run`) also splits, judges and escalates; this is the pattern for a flow of your own.
Draw it with `shoal graph inbox`; run it with `graph.compile().ainvoke({"mail": "..."})`.
"""

from typing import TypedDict

from langgraph.graph import END, START, StateGraph

from agents.cards import cards
from agents.cash import cash
from agents.exchange import exchange
from agents.payments import payments
from agents.transfers import transfers
from shoal import Router


class Mail(TypedDict, total=False):
    mail: str
    answer: str


DESKS = [cards, cash, exchange, payments, transfers]

router = Router.fit(jobs={desk.name: desk.job for desk in DESKS})

graph = StateGraph(Mail)
for desk in DESKS:
    graph.add_node(desk.name, desk.as_node(input="mail", output="answer"))
    graph.add_edge(desk.name, END)
graph.add_conditional_edges(START, router.as_edge(text="mail"))
