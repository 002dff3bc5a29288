"""Commands: what somebody asks of a music player, a booking desk or a weather service, as typed data.

Its specialist is trained on the SNIPS benchmark. Without one the small model's answers fail the checks.
"""

from shoal import Agent
from tools.command import Command, has_slots_of_its_intent

command_reader = Agent(
    "command-reader",
    job="Read a command and give its intent and slots as JSON.",
    model="embedded:smollm2:135m",
    output=Command,
    checks=[has_slots_of_its_intent],
    max_tokens=256,
    timeout_s=30,
)
