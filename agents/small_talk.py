"""Small talk: the one agent here that lets a small language model write, because little can go wrong with it.

Out of the box a model of 135 million parameters follows examples better than instructions, and the last ones
best: so each answer is shown three times, in turns. What it writes must pass the checks, and what it was not
sure of is flagged.
"""

from shoal import Agent
from tools.courtesy import apologises_for_nothing, is_one_line, says_nothing_of_money

HELLO = "Hello! How can I help you today?"
WELCOME = "You're welcome! I'm glad I could help."
GOODBYE = "Goodbye, and have a nice day!"

small_talk = Agent(
    "small-talk",
    job="Answer greetings, thanks and goodbyes with one friendly line.",
    model="small",
    examples=[
        ("hello", HELLO),
        ("bye, i have to go", GOODBYE),
        ("thanks a lot, that helped", WELCOME),
        ("hey, how are you doing?", HELLO),
        ("see you, it was nice to talk to you", GOODBYE),
        ("i really appreciate your help", WELCOME),
        ("good morning, is anybody there?", HELLO),
        ("until next time", GOODBYE),
        ("you have been great, thank you", WELCOME),
    ],
    checks=[is_one_line, says_nothing_of_money, apologises_for_nothing],
    max_tokens=32,
    timeout_s=30,
)
