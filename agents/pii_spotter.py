"""Personal data in a text: names, places, numbers, each with its type. `tools.personal.redact` takes it out.

The model finds; patterns with check digits see to it that no card, account or e-mail address is missed.
"""

from shoal import Agent
from tools.personal import PersonalData, spans_stand_in_the_text

pii_spotter = Agent(
    "pii-spotter",
    job="Find the personal data in a text and list it as JSON: type and words.",
    model="embedded:smollm2:135m",
    output=PersonalData,
    checks=[spans_stand_in_the_text],
    max_tokens=512,
    timeout_s=30,
)
