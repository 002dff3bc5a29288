"""Sentences put together from openings, subjects, what they do, and endings; most were never written before.

A reader that learns from whole sentences learns the sentences. Here what stands around a name changes as much
as the name does. Words with capitals that are nobody's data (works, feasts) stand where names might.
"""

import random

__all__ = ["story"]

OPENINGS = """In {year},
By {year}
On {date},
Early on {weekday}
On {weekday} at {time},
Last summer
The year after,
Before {title} came out,
Long before {year},
At the age of {age},
According to {person},
As {first} tells it,
As {prefix} {last} had feared,
In {city}
Back in {country},
At {org},
During {feast}
Two days before {feast}
At my request
To everybody's surprise
Rumour has it that
I read that
My neighbours say that
It is said that
You will remember that
They wrote to us that
It seems that
Nobody told me that
Thanks to {person},
With help from {org},
While {first} was away,
When {first} was {age},
After a visit to {city}
One morning, over coffee,
Sadly
Well,
Then
So
Meanwhile,"""
SUBJECTS = """{person}
{person}
{person}
{first}
{first}
{first}
{last}
{prefix} {last}
{prefix} {person}
{first} and {first}
{last} and {last}
{first}, {first} and {first}
the {job} {person}
{person}, the {job},
{person} ({age})
{person}, {age},
{person} of {org}
{person} from {city}
{first} {last}, a {nationality} {role},
the {nationality} {role} {person}
the {nationality} {role}
a {nationality} friend of mine
{role} {person}
my {kin} {first}
our {role} {last}
her {kin}
his {kin}
the {role}
a stranger
we
they
she
I
{org}
{org}
{org}, a {nationality} company,
{org} of {city}
the founders of {org}
the {org} team
{city}
{country}
the town of {city}
the {nationality} government
the {nationality} consulate
the {thing}"""
DEEDS = """moved from {city} to {city}
moved back to {country}
left {city} for good
grew up in {city}, {country}
was born in {city} on {date}
was born to {nationality} parents
spent two years at {org}
spent a winter in {city} as a {role} to {person}
works for {org} now
worked at {org} and then at {org} in {city}
was hired by {org} as {job}
quit {org} and joined {org}
started out as the {role} of {person}
became {job} of {org}
is the new {job} at {org}
was a {role} for years
runs the {thing} in {city}
was sold to {org} for {amount}
was bought by {org}, which is now called {org}
merged with {org}, later known as {org}
changed its name from {org} to {org}
opened a shop at {street}
opened an office at {building} {street}, {city}
rents a room at {address}
lives on {street}
lives near {street} in {city}
was seen on {street}
closed the house at {street}
asked for a taxi to {address}
met {first} at {org}, {building} {street}, {city}
met {person} in {city}
met {first} and {first} on {weekday}
married {first}, the {kin} of {person}
is a {kin} of {person}
has a {kin} called {first}
called {first} a liar
named the {thing} {first}
wrote a letter to {person}
wrote {title} with {person}
wrote "{title}" for {first}
sang "{title}" in {city}
recorded {title} in {city} with {person}
played {last} in {title}
borrowed the idea from {last}'s {title}
based {title} on a poem by {person}
is better known for "{title}" than for "{title}"
read {last}'s book about {country}
said "{first}, come here"
said: "{title}? Never heard of it."
asked {first} whether {first} knew {last}
took {first} to {city} by train
returned to {city} by boat
flew to {country} on {date}
has never been to {country}
was stopped at the border of {country}
was sent home from {country}
won against {last} in {city}
lost to {person}
scored twice for {org}
ran from {city} to {city} in four days
signed the {title} Act
invoked Article 12 of the {title} Act of {year}
was accused of fraud by {org}
was sentenced in {city} for robbing {org}
sued {org} and {person}
was released on {date}
owes {org} {amount}
paid {amount} with {card}
sent {amount} to {iban}
wants {card} to be blocked
asked {org} to take {phone} off the list
can be reached at {phone}
gave me {phone} as the number
left the number {phone} with {first}
wrote from {email}
uses {email} for everything
posted the pictures on {url}
read about it on {url}
got an error from {ip}
logged in from {ip} at {time}
gave {ssn} as the social security number
carries the licence {licence}
turned {age} on {date}
is {age} years old
has two children, {first} ({age}) and {first} ({age})
looks after a {age}-year-old {kin}
complained of a sore knee
eats {nationality} food every {weekday}
speaks like a {nationality}
is half {nationality}, half {nationality}
translated {title} for a {nationality} paper
loves {feast} in {city}
will be away until {feast}
did not come
was right
had no idea
kept the {thing}
broke the {thing} twice
hates {title} and likes {title}"""
ENDINGS = """.
.
.
.
.
 in {year}.
 in {year} and again in {year}.
 on {date}.
 on {weekday}.
 last year.
 for {amount}.
, which nobody believed.
, and the {thing} with it.
, though {last} never said so.
, though {last}'s {thing} was about something else.
, or so {first} says.
, says {person}.
, {person} said on {weekday}.
, as {person} of {org} points out.
, together with {person}.
, {first} and {first} included.
, then left for {city}.
 and later moved to {country}.
 and has lived in {city} since {year}.
 when {first} was {age}.
 before {first} was born.
 because {first} asked.
 after {feast}.
 near {city}.
, not far from {street}.
 (see {url}).
 (write to {email} if you care).
. Is that so, {first}?
. What do you think, {first}?
. Ask {first}!
. {title} is to blame.
. The {thing} is gone."""
KIN = "brother sister father mother cousin nephew niece uncle aunt husband wife son daughter".split()
ROLES = (
    "assistant singer writer owner neighbour captain manager guest witness player driver teacher composer "
    "director tenant customer lawyer doctor founder partner boss friend coach minister guard"
).split()
THINGS = (
    "orchestra choir parcel album song film novel dog cat ship house bakery museum project report account "
    "server contract piano bicycle garden bridge festival team website invoice ticket office"
).split()
FEASTS = (
    "Christmas|Easter|New Year's Eve|Thanksgiving|Ramadan|Halloween|Diwali|Mother's Day|Bastille Day|"
    "Independence Day|Black Friday|Carnival|Midsummer|Hanukkah|Boxing Day"
)
TITLE = (
    "Thunder Letter Midnight Winter Mercy Iron Honey Ladder Ghost Ballad Freedom Justice Silence Engine "
    "Clockwork Sorrow Carousel Lantern Feather Velvet Kingdom Satellite Anger Patience Salt Wolves Fire "
    "Roses Bones Machine Sugar Tears Trouble Courage Shadow Mirror Daylight Parade"
).split()
JOINTS = ("{} {}", "{} of {}", "The {} {}", "{} and {}", "{} in the {}", "{}'s {}", "The {} of {}", "{}, {}!")


def story(chance: random.Random) -> str:
    """A template of one sentence, or two: places for personal data are left in braces."""
    count = 2 if chance.random() < 0.2 else 1
    return " ".join(_sentence(chance) for _ in range(count))


def _sentence(chance: random.Random) -> str:
    subject, deed = _one(chance, SUBJECTS), _one(chance, DEEDS)
    if chance.random() < 0.25:
        deed += f" and {_one(chance, DEEDS)}"
    if chance.random() < 0.4:
        opening = _one(chance, OPENINGS)
        text = f"{opening} {subject} {deed}"
    else:
        text = f"{subject} {deed}"
    text = f"{text[0].upper()}{text[1:]}{_one(chance, ENDINGS)}"
    for name, words in WORDS.items():
        while f"{{{name}}}" in text:
            text = text.replace(f"{{{name}}}", chance.choice(words), 1)
    while "{title}" in text:
        text = text.replace("{title}", _title(chance), 1)
    return text


def _title(chance: random.Random) -> str:
    if chance.random() < 0.25:
        return chance.choice(TITLE)
    return chance.choice(JOINTS).format(*chance.sample(TITLE, 2))


def _one(chance: random.Random, lines: str) -> str:
    return chance.choice(lines.split("\n"))


WORDS = {"kin": KIN, "role": ROLES, "thing": THINGS, "feast": FEASTS.split("|")}
