"""Customer mail to a shop: topic, order id, dates, amounts and urgency, as typed data.

Its specialist learnt from mails that `training_data/mail.py` makes up; mails written by hand are its test.
"""

from shoal import Agent
from tools.mail import MailFacts, amounts_are_money, copies_the_mail, misses_no_amount, misses_no_date

mail_reader = Agent(
    "mail-reader",
    job="Read a customer mail and give topic, order id, dates, amounts and urgency as JSON.",
    model="embedded:smollm2:135m",
    output=MailFacts,
    checks=[copies_the_mail, amounts_are_money, misses_no_amount, misses_no_date],
    max_tokens=256,
    timeout_s=30,
)
