r"""Sentences with places for personal data, in the words of many trades; some hold none, to teach that too.

Conventions, those of the public data set that the reader is measured on: a name without its "Mr." (which is a
TITLE); years, full dates, times of day and weekdays are data, "next week" and "this morning" are not; famous
works, laws and brands that belong to the sentence are not. One template a line; `\n` is a line break.
"""

__all__ = ["TEMPLATES"]

BANK = r"""
Please block card {card} at once, it was stolen on the train.
The payment with {card} was declined twice today.
Which fees apply when I use {card} abroad?
I tried to pay {amount} with my card no. {card} and it failed.
card {card} shows a charge that I do not know
Is {card} still valid? The date on it has worn off.
my visa {card} was swallowed by the machine in {city}
Please raise the limit of {card} to {amount} until {weekday}.
Send the money to {iban}, please, the account belongs to {person}.
Account holder: {person}\nIBAN: {iban}\nAmount: {amount}
Can you transfer {amount} from {iban} to {iban}?
My new bank details are {iban}, valid from {date}.
is {iban} the right number for the deposit?
The refund should go to {iban} and not to the card {card}.
Our invoice number 4471 was paid into {iban} by {org}.
I would like to open an account for my daughter {first}, she is {age}.
Please remove {person} as a joint holder of my account.
The statement still has my old name, it should say {prefix} {last} now.
Why does the app say that {prefix} {person} has to confirm my payment?
My wife {first} and I would like to close both accounts.
hi, it's {first} again, about the loan you offered me
Put {person} on the line please, I spoke to him on {weekday}.
A certain {person} from {org} keeps calling me about insurance.
How do I change my PIN?
What is the interest on a savings account with a balance over 10,000?
I was charged twice for the same order, 4471 and 4472.
The transfer of {amount} has been pending for three days.
Does the card work in every country of the European Union?
"""
CONTACT = r"""
You can reach me at {phone} after six.
my number is {phone}, call any time
Call {phone} and ask for {first}.
Tel. {phone}, Fax {phone}
I changed my phone, the new number is {phone} and the old one ({phone}) is gone.
Please text {phone} when the parcel is there.
Nobody picks up at {phone}, is there another line?
{first} said I should dial {phone} instead.
is {phone} still your mobile?
Write to {email} or call {phone}.
My e-mail address is {email}, please send the contract there.
send it to {email} pls
I never got a mail at {email}, could you check {email} too?
What is the best address to write to? {email}
To: {email}\nFrom: {email}\nSubject: lunch on {weekday}
{email} is not receiving our newsletter any more
Please forward this to {first} ({email}).
Reply to {email} by {date}.
Have a look at {url} and tell me what you think.
I found the offer on {url}
Is {url} down for everybody or only for me?
My portfolio is on {url}, my mail is {email}.
The pictures are at {url} now.
Download it from {url} and install it.
Somebody logged in from {ip} last night.
Requests from {ip} are refused by the firewall.
The printer has the address {ip} and does not answer.
ping {ip} gives no reply, ping {ip} does
User {first} signed in from {ip} on {stamp}
[{stamp}] {ip} GET /index.html 200
Error 404: the page was not found.
Version 4.12.1 is out, please update.
Our hotline is open around the clock.
What is your phone number? {phone}
What's the address of your website? {url}
"""
IDENTITY = r"""
My social security number is {ssn} and I was born on {date}.
SSN {ssn}, name {person}
Her social is {ssn}.
Please verify the number {ssn} for {prefix} {last}.
the last digits of {ssn} are wrong in your records
Driver's license {licence}, issued in {city}
I lost my driver license, the number was {licence}.
his licence no. is {licence}
License number: {licence}\nName: {person}\nBorn: {date}
Passport please! Name? {person}. Nationality? {nationality}.
Applicant: {person}, {age} years old, {nationality} citizen
I am {nationality} and live in {country}.
My grandparents were {nationality}, I grew up in {city}.
She speaks like a {nationality} but was born in {country}.
The {nationality} embassy in {city} opens at nine.
The {nationality} team beat the {nationality} team in {city}.
we hired two {nationality} engineers in {year}
Half of the crew was {nationality}, half {nationality}.
there is a lovely {nationality} bakery around the corner
The {nationality} government has denied the reports.
I'm {age} and live alone.
At the age of {age} she climbed her first mountain.
My father will be {age} on {weekday}.
A {age}-year-old man was taken to hospital.
our dog is nice to kids, {first} is {age} and {first} is {age}
{first} ({age}) and {first} ({age}) are engaged
How old are you? {age}
She's only {age} years old and already a {job}.
Patient: {person}, age {age}, presents with a cough since {weekday}.
The {age} year old patient from {city} was seen by {prefix} {last}.
he turned {age} last month
Postal code: {zip}
my zip is {zip}
What's your ZIP code? {zip}
The zip code {zip} does not match the city.
Delivery only within {zip} and {zip}.
"""
NAMES = r"""
I am {person}.
Hi, this is {first}.
this is {person} speaking
Hello {first}, how was your weekend?
Dear {prefix} {last},\nthank you for your letter.
Best wishes\n{person}
Thanks,\n{first}
Is {first} there?
{first}!! Where have you been?
no, it's {first}, not {first}
Call me {first}.
They call him {first} the Great.
It's registered to {person}.
I can't find it under {last}, try {last} please
{last}, {first}
Who is {person}?
Did {first} tell you about {first} and {first}?
{first}: are you coming?\n{first}: no\n{first}: why not, {first}?
I met {person} in {city} when I was {age}.
The baby will be called {first} or {first}.
We named the cat {first} after my aunt.
{first} and {first} got married in {city} on {date}.
{first}'s brother works for {org}.
{person}'s new book is out.
I hate it when {first} sings.
when will {first} be back
{prefix} {last} will see you now.
Please ask {prefix} {person} to sign the form.
Good morning, {prefix} {last}!
{prefix} {last} and {prefix} {last} have divorced.
The judge, {prefix} {person}, dismissed the case.
{person} was sentenced to five years in prison.
A statue of {person} stands in {city}.
{person}, {age}, of {city}, won the lottery.
Police in {city} arrested {person} on {weekday}.
According to {person}, prices will rise again in {year}.
"We had no choice," said {person}, a {job} from {city}.
{person}, {job} at {org}, welcomed the decision.
{job} {person} has resigned.
The {job} thanked everybody.
My aunt is a {job}.
I work as a {job} in {city}.
We are looking for a {job} in {country}.
Her title is {job}, she reports to {person}.
{person}\n{job}\n{org}
{person}\n{org}\n{street}\n{city}
{person} | {job} | {email} | {phone}
{person}\n{job}, {org}\nOffice: {phone}\nMail: {email}\nWeb: {url}
Name: {person}\nCompany: {org}\nE-mail: {email}
First name: {first}\nLast name: {last}\nDate of birth: {date}
Name: {person}\nPhone: {phone}\nAddress: {address}
"""
PLACES = r"""
I live in {city}.
She left {city} for {city} in {year}.
{city} is lovely in spring.
{country} won five medals.
have you ever been to {country}?
The train from {city} to {city} is late.
It rained all week in {city}, {country}.
We sell to {country}, {country} and {country}.
Flights to {country} are cheap right now
my parents moved from {country} to {city}
The mayor of {city} met a delegation from {country}.
Northern {country} was hit by a storm.
The old bridge in {city} was closed in {year}.
greetings from {city}!
Where is {city}?
The road between {city} and {city} is closed until {weekday}.
I have a meeting in {city} next month, so please send the visa soon.
Our office moved to {address}.
Deliver it to {address} please.
The parcel went to {address} by mistake.
My address is {address}
ship to: {address}
we live at {address} now
Pick me up at {address}, I'll wait outside.
What's your address? {address}
Where should I send it? To {address}.
My old address was {address}, the new one is {address}.
The party is at {street}, ring at {last}.
{street} is closed because of the works.
I grew up on {street} in {city}.
The {org} shop is on {street}.
turn left at {street} and then right
We met on {street}, near the church.
He lives at {street}, third floor.
The bus stops in front of {street}.
Is there a chemist near {street}?
{first} moved to {street} in {year}.
Send the cheque to {org}, {address}.
Please return the keys to {person}, {address}.
Billing address: {address}\nCard: {card}
the taxi should come to {address} at {time}
Two rooms at {address} are for rent, call {phone}.
"""
LETTERS = r"""
{pieces}
{person}\n{pieces}
{person}\n{org}\n{pieces}
{org}\n{pieces}
To {person}\n\n{pieces}
The shop is at {building} {street}.
Her flat is at {building} {street}
{first} moved to {building} {street}, {city} in {year}.
get off at {building} {street} and walk
{org}, {building} {street}, {city}
We open on {weekday} at {building} {street}, {city}.
{weekday}, {time}: {org}, {building} {street}, {city}
Come to {org}, {building} {street}, {city}.
Interview at {org}, {building} {street}, {city} on {date}
The concert is at {building} {street}, {city}.
Dinner on {weekday}? {org}, {building} {street}, {city}
{first}, I am waiting at {building} {street}, {city}!
The keys are with {org} at {building} {street}, {city}, ask for {first}.
"""
NEWS = r"""
{org} bought {org} for {amount} in {year}.
{org} was founded in {city} in {year}.
{org} is hiring.
I used to work at {org}.
shares of {org} fell after the {nationality} regulator opened a case
{org} and {org} will merge by {year}
{person} joined {org} as {job} in {year}.
{first} from {org} called, it was about the invoice.
{org}, based in {city}, makes tools for {org}.
After four years at {org}, {first} started her own business in {country}.
{org} has offices in {city}, {city} and {city}.
The {org} choir sang in {city} in {year}.
The {org} report of {year} lists {country} first.
my boss at {org} is called {first}
Do you have a contract with {org}?
I ordered from {org} and nothing came.
Invoice from {org}, due {date}
{org} thanks {prefix} {person} for twenty years of work.
In {year} the {nationality} parliament passed the Clean Water Act.
{person} directed the {nationality} film in {year}, {person} wrote the music.
The song was written by {first} {last} in {year} and sung by {person}.
In "Letter to {first}", {last} sings about the winter of {year}.
"{first}, come home" was a hit for {person} in {country}.
I like the cover by {person} more than the original of {year}.
The verse about {city} was cut from the album.
{last} was born in {city}, {country}, on {date}.
{last} took the title in {year} and again in {year}.
The {nationality} player {person} lost to {last} in {city}.
{person} is a {nationality} writer who lives in {city}.
The novel, set in {city} in {year}, follows {first}, a {job}.
The Declaration of Human Rights was adopted in Paris.
Honesty and Courage are written with capitals here.
Beethoven's Ninth was playing in the lobby.
Article 12 of the Charter protects children.
Chapter VII of the Water Act of {year} was repealed.
The Times called it the best record of the decade.
"""
DATES = r"""
The meeting is on {date} at {time}.
See you {weekday}!
can we move it from {weekday} to {weekday}
Born: {date}
He died on {date} in {city}.
On {stamp} the server stopped.
Date: {stamp}\nUser: {first}\nHost: {ip}
Timestamp {stamp}, caller {phone}
Back in {year} there was no internet here.
The house was built in {year} and sold in {year}.
It happened at {time} on {weekday}.
Ticket opened {date}, closed {date}.
between {year} and {year} prices doubled
I'll be back next week.
See you tomorrow morning, or the day after.
It took about two months and then some.
She graduated in {year}, I did in {year}.
The warranty ended on {date}.
The contract of {date} between {org} and {person} is void.
We closed on New Year's Eve.
"""
NOTHING = r"""
ok
Thanks a lot!
Could you help me please?
What time is it?
I have no idea what you mean.
Sorry, wrong chat.
Five, four, three, two, one, go!
Add two eggs and 250 g of flour, then stir for 3 minutes.
The third edition has 412 pages.
Please, Mister robot, stop repeating yourself.
You are not very polite, sir.
Room 12 is free, room 14 is not.
My order has not arrived yet.
The Internet is slow today, isn't it?
Press 1 for English, 2 for anything else.
To be or not to be, that is the question.
Never gonna happen, my friend.
Madam, this is a library.
Spring is my favourite season.
How many points do I have?
He who laughs last laughs best.
Turn the screw clockwise until it stops.
She sells sea shells by the sea shore.
Where can I see my contract?
Please cancel my order, I do not need it any more.
Happy Birthday!
Peace and Love are all you need.
"""

TEMPLATES = tuple(
    line
    for group in (BANK, CONTACT, IDENTITY, NAMES, PLACES, LETTERS, NEWS, DATES, NOTHING)
    for line in group.strip().split("\n")
)
