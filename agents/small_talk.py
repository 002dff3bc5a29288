"""Small talk: the one agent here that lets a small language model write, because little can go wrong with it.

Out of the box a model of 135 million parameters follows a few examples well and instructions badly. What it
writes must pass the checks; what does not is asked for again, then flagged.
"""

from shoal import Agent
from tools.courtesy import apologises_for_nothing, is_one_line, says_nothing_of_money

small_talk = Agent(
    "small-talk",
    job="Answer greetings, thanks and goodbyes with one friendly line.",
    model="small",
    examples=[
        ("hello", "Hello! How can I help you today?"),
        ("good morning, is anybody there?", "Good morning! How can I help you today?"),
        ("how are you?", "I'm fine, thank you! How can I help you today?"),
        ("thanks a lot, that helped", "You're welcome! I'm glad I could help."),
        ("you are great, thank you", "You're very welcome! Have a nice day."),
        ("bye, i have to go", "Goodbye, and have a nice day!"),
    ],
    checks=[is_one_line, says_nothing_of_money, apologises_for_nothing],
    max_tokens=32,
    timeout_s=30,
)
