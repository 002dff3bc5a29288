"""Sentences that customers write to a shop, by topic; `{order}`, `{date}`, `{item}` and others are places.

ISSUES say what happened, ASKS what is wanted; a mail has one of the first and often one of the second.
They decide the topic; the other lists fit any mail.
"""

__all__ = [
    "ASIDES",
    "ASKS",
    "CLOSINGS",
    "GREETINGS",
    "HURRY",
    "ISSUES",
    "LEISURE",
    "NOISE",
    "OPENERS",
    "QUOTES",
]

ISSUES = {
    "delivery": """
My {item} has still not arrived.
I ordered {item} on {date} and nothing has come so far.
The tracking has said "in transit" since {date}.
My parcel should have been here on {date}.
Order {order} was promised for {date}, but I am still waiting.
The courier left a card, but the depot cannot find my parcel.
According to your site order {order} was delivered on {date}. It was not, nobody rang and there is no parcel.
where is my order {order}??
I paid {amount} for next-day shipping and it is now a week late.
The package went to the wrong house.
I have been waiting for {item} for three weeks now.
Only one of the two boxes of order {order} turned up, the other is on its way since {date}.
The driver wrote that I was not at home on {date}, which is not true.
still no sign of my {item}, ordered {date}
The shipping status of {order} has not changed for ten days.
I was told it would ship on {date}. Has it?
Your courier says that the address on the parcel is incomplete.
Just wondering when {item} will get here, the order number is {order}.
My order seems to be lost in the post.
It is {date} and my order from {date} is not here.
The neighbour was supposed to take the parcel in, but he has nothing.
No confirmation of shipping yet for {order}.
""",
    "return": """
I would like to send {item} back, it does not fit.
The {item} from order {order} is too small for me.
I changed my mind about {item}.
I bought {item} for {amount} and want to return it.
The colour does not suit our living room, so it will have to go back.
How do I return {item}? I got it on {date}.
i need a return label for order {order} please
Can I swap {item} for a bigger size?
My daughter already has {item}, so I would like to bring it back.
It came on {date}, it is unused and in its box, and I do not want to keep it.
Is it still possible to return something that I bought on {date}?
It is a lovely thing but not what I had in mind, so I want to send it back.
I ordered two sizes of {item} and shall keep one. How do I send the other back?
The present was not to her taste; can it be exchanged?
I would like to exchange {item} ({order}) for the blue one.
Your return form does not accept the number {order}.
Do I have to pay for the postage when I send {item} back?
What is the last day for returning order {order}?
I want to use my right to withdraw from the purchase of {date} and send everything back.
The shoes are nice but half a size too narrow.
""",
    "defect": """
The {item} arrived broken.
My {item} stopped working on {date}.
One leg of {item} is cracked.
I got the wrong article: instead of {item} there was something else in the box.
The {item} makes a terrible noise and smells burnt.
When I opened the parcel on {date}, the glass was in pieces.
Order {order} was missing the screws and the manual.
after two days the {item} wont switch on any more
There is a big scratch across the front of {item}.
The zip of {item} tore the first time I used it.
{item} leaks, the whole floor was wet.
I paid {amount} for {item} and it broke within a week.
The battery of {item} lasts ten minutes.
You sent me the wrong colour in order {order}.
Two plates were smashed and the box was soaked.
The screen has a dead line from top to bottom.
The {item} bought on {date} does not charge.
The device from {order} gets so hot that I dare not use it.
It came with a dent on the left side.
Half of the parts of {item} are missing.
The seam is coming apart already, and that for {amount}.
There is a fault in {item}: it turns itself off after a minute.
""",
    "refund": """
I sent {item} back on {date} and have not got my money yet.
You received my return on {date}, but the {amount} are not in my account.
Where is my refund of {amount}?
My refund for order {order} is still missing.
On {date} your colleague promised that I would get {amount} back. Nothing has happened.
You refunded {amount} instead of {amount}.
the money for the returned {item} hasnt come back
The return of {order} was confirmed on {date}. How long does the money take?
I was told that the refund takes five days; it has been twenty.
It says "refunded" in my account, but my bank has received nothing.
I returned two articles and only one was paid back.
You owe me {amount} since {date}.
I am still waiting for the {amount} for the order you could not deliver.
When will you pay back the {amount} for order {order}?
The refund went to a card that I no longer have.
I cancelled {order} on {date} and you have kept my {amount}.
You gave me a voucher, but I want the {amount} back on my card.
Three weeks after I returned {item} I have seen not one cent of my money.
The deposit of {amount} was never paid back to me.
Part of my refund is missing: {amount}.
""",
    "billing": """
I was charged twice for order {order}.
{amount} were taken from my card on {date}, and again {amount} on {date}.
The invoice for {order} shows {amount}, but I agreed to {amount}.
I need an invoice for order {order} with my company name.
My discount code was not applied, I paid {amount} instead of {amount}.
There is a charge of {amount} from you on my statement that I cannot explain.
you took {amount} from my account on {date}, what is this for?
Please send me the receipt for {item}, I need it for my taxes.
The VAT number is missing on the invoice of {date}.
My payment of {amount} failed, although there is enough money in the account.
I got a reminder over {amount}, but I paid on {date}.
The bill of {date} names the wrong address.
Why does the invoice have a line "service fee {amount}"?
I paid by bank transfer on {date}, but the order still says "unpaid".
The price on your page was {amount}; at the checkout it was {amount}.
Can I pay order {order} in two instalments?
Your reminder charges me a late fee of {amount}, which I do not accept.
The gift card was not deducted from the total of {amount}.
My credit card was debited {amount} too much.
Could you correct the invoice of order {order}? The name is spelt wrongly.
""",
    "cancellation": """
Please cancel order {order}.
I would like to cancel my order of {date}.
I do not need {item} any more, please stop the order before it is shipped.
i ordered the wrong thing by mistake, can you cancel {order}
I want to end my subscription on {date}.
Please cancel my membership, I do not use it.
I clicked twice, so there are two orders; {order} can be cancelled.
Please do not renew my plan for {amount} a year.
Can I still stop the order that I made on {date}?
I found {item} elsewhere for {amount}, so I withdraw my order.
I hereby terminate the contract as of {date}.
Since you cannot deliver before {date}, I cancel the order.
The order {order} is a mistake of my son's. Please delete it.
I no longer want the magazine, the last issue should be that of {date}.
Kindly annul the purchase of {item}.
We moved house and don't need {item} now. Cancel it please.
How do I cancel the monthly box for {amount}?
Stop my order please, I have not paid yet.
""",
    "account": """
I cannot log in to my account.
My password is not accepted any more.
I forgot my password and the mail for a new one does not come.
Please change my delivery address to the one below.
How can I change the e-mail address of my account?
i get locked out every time i try to sign in
My name has changed since the wedding, please correct it in my profile.
Please delete my account and all my data.
Since {date} I have not been able to sign in.
The code that you send by text message never arrives, so I cannot log in.
Somebody else has logged in to my account on {date}.
I have two accounts with you; could you put them together?
Your site says that my account is blocked.
I want to unsubscribe from the newsletter, the link does not work.
My loyalty points disappeared from my profile on {date}.
Registration fails with an error on the last page.
My phone number in the profile is out of date and I cannot edit it.
Can my husband use my account as well?
I do not see my old orders in my account any more.
Please take me off your mailing list.
""",
    "question": """
Is {item} available in green?
Do you ship to Iceland?
How long is the guarantee for {item}?
Will {item} be in stock again before {date}?
Before I buy {item} for {amount}: does it come with a cable?
Does the {item} fit a table of 90 by 200 cm?
Are you open on {date}?
I saw {item} in your shop window. What does it cost?
What is the difference between the two models of {item}?
does {item} work with 110 volts
Is there a discount if we order thirty pieces?
Can {item} be washed at 60 degrees?
When does the sale end? I read something about {date}.
Do you have a shop in the north of the city?
Could you tell me how heavy {item} is?
I am thinking of buying {item}. Is it suitable for a child of four?
Is the price of {amount} for one or for a pair?
Do you also sell spare parts for {item}?
Which material is {item} made of?
Can I collect an order at your shop instead of having it sent?
Do you offer gift wrapping, and what is it?
""",
    "praise": """
I just wanted to say thank you for {item}.
Wonderful service, order {order} was here within a day!
My {item} came on {date} and it is perfect.
Best shop ever, I will come back.
Your colleague on the phone was so kind and patient, please tell her.
thanks for sorting it out so quickly, really happy now
We love {item}, it was worth every penny of the {amount}.
I have bought from you for years and was never disappointed.
Everything arrived safely and beautifully packed, well done.
The replacement came on {date}, many thanks for the fast help.
{item} is even nicer than on the pictures!
Five stars from me, and greetings to the team.
What a great idea to put a handwritten card into the parcel.
You made my mother very happy with {item}.
I am impressed: ordered in the evening, delivered the next morning.
Just a quick note to let you know how pleased I am with {item}.
The repair was free and took two days. Thank you so much.
I recommended you to all my friends.
""",
}
ASKS = {
    "delivery": """When will it come?|Please find out where it is.|Could you check with the courier?
Can you tell me where the parcel is?|Please send it again.|I would like to know when I can expect it.
Has it been shipped at all?|Any news on this?|Please give me a delivery date.|could you trace it pls""",
    "return": """Please send me a return label.|How do I send it back?|Where do I have to send it?
What do I have to do?|Can you arrange a pick-up?|Please tell me how the exchange works.
Is that possible?|Which address should I use?""",
    "defect": """Please send me a replacement.|I would like a new one.|Can it be repaired?
What do you suggest?|I attach two photos.|Please send the missing parts.|How can we solve this?
I expect a replacement.|Please advise.""",
    "refund": """Please transfer the money.|When will I get my money?|Please check this.
I expect the payment now.|Where is my money?|Please let me know when it was sent.
Could you look into the refund?""",
    "billing": """Please explain.|Please correct the invoice.|Please send me a corrected bill.
Can you check the payment?|What happened there?|Please look into this charge.
I would be grateful for an explanation.""",
    "cancellation": """Please confirm the cancellation.|Please confirm in writing.|Is it still possible?
Let me know if that worked.|Thanks for cancelling it.|I hope it has not been sent yet.""",
    "account": """Can you help me?|Please help me to get in again.|How do I do that?
Please confirm the change.|What should I do?|Please reset it.""",
    "question": """Thanks for your answer.|I would be glad to know.|Could you let me know?
I could not find it on your page.|Please let me know before I order.""",
    "praise": """Keep it up!|Thanks again.|All the best to you.|You can be proud of your team.
Made my day.""",
}
GREETINGS = """Hi,|Hello,|Dear Sir or Madam,|Good morning,|Good evening,|Hey,|Dear team,|Hi there,
Hello team,|To whom it may concern,|Dear customer service,|Dear {shop} team,|Dear Ms {last},
Dear Mr {last},|hi|hello|Dear support,"""
OPENERS = """I hope you are well.|I am writing about my order {order}.|My order number is {order}.
It's about order {order}.|Order {order}:|Re: {order}|Order no. {order}|Subject: order {order}
My name is {person}.|I am a customer since {year}.|This is my second mail about this.
I called you this morning, but nobody answered.|I tried the chat, without success.|I have a problem.
Quick question.|Reference: order {order}|(order #{order})|Regarding purchase {order}
As I said on the phone:|Sorry to bother you.|I ordered from you for the first time.
Order number: {order}"""
ASIDES = """The tracking number is {tracking}.|My customer number is {customer}.
You can reach me at {phone}.|The article number is {article}.|The total was {amount}.
I paid {amount} by card.|I paid with PayPal.|The order was placed on {date}.|Invoice no. {invoice}.
I wrote to you on {date} but got no answer.|I am at home after 5 pm.|There were 3 items in the parcel.
I have been a customer for 12 years.|Shipping was {amount}.|My flat is on the 4th floor.
I had to wait for 45 minutes on the phone.|It was a present for my sister.
Your colleague {person} helped me last time.|The model is {article}.|I ordered 2 pieces.
It cost {amount}.|My address is {street}.|We are away from {date} to {date}.|I bought it on {date}.
The order number is {order}.|I tried it on two computers.|The shop at the station could not help me.
Monday or Tuesday would suit me.|My husband says that I should write to you.
We had guests that evening, which was embarrassing.|Honestly, I am a little upset.
I have never had any trouble with you before.|I looked everywhere on your page and found nothing.
It used to be easier.|My colleague at work ordered the same and all went well.
Maybe I overlooked something.|I am 71 and not good with computers.
We live in the country, the next shop is 30 km away.|Last year it was the same story.
I saved for months to afford it.|The weather was awful that day.|I wanted to use it on Saturday.
Your FAQ did not help.|The children were disappointed.
I also wrote on your page, but only a robot answered.|I paid cash on delivery.
Two friends recommended your shop to me.|My order of {date} went well, by the way.
I made the order at 11 pm from my phone.|The voucher of {amount} was used too.
I ordered under the name of {person}.|The confirmation came on {date}.|It is the second time in a row.
The price was {amount}, if I remember correctly.|As agreed with {person} on {date}.
Postage of {amount} was added.|I placed order {order} on {date} for {amount}.
The amount of {amount} was debited on {date}.|Order date: {date}
Order {order}, {amount}, paid on {date}.|Order number {order}, dated {date}|Total: {amount}"""
HURRY = """This is urgent!|Please answer today.|I need it by tomorrow at the latest.|URGENT
Please reply as soon as possible.|It is very urgent, please call me at once.
I need an answer immediately.|Otherwise I will go to my lawyer.
If I hear nothing by tomorrow, I will dispute the charge.|asap please!!
I need this sorted out right now.|This cannot wait.
We need it for the wedding on Saturday, so please hurry.|Please act at once.|This is an emergency.
I leave tomorrow morning, so please reply today.|High priority please.
My patience is at an end; I will take legal action."""
LEISURE = """There is no hurry.|No rush.|Whenever you have time.|It is not urgent.|Take your time.
An answer next week is fine.|no need to hurry|I am in no hurry at all.|Please reply when it suits you.
It can wait."""
CLOSINGS = """Kind regards,|Best wishes,|Thanks,|Thank you,|Regards,|Yours sincerely,|Cheers,
Many thanks,|Best,|Greetings,|Thank you in advance,|Yours faithfully,|thx|Sincerely,"""
NOISE = """Sent from my phone|{shop} - everything for your home|Tel. {phone}|{street}
-- \\n{person}\\n{phone}|Get Outlook for Android"""
QUOTES = """On {date} at {clock}, {shop} wrote:\\n> Thank you for your order {order}.\\n> We will write again.
> Dear customer,\\n> your order {order} over {amount} has been received.
----- Original message -----\\nFrom: {shop}\\nSent: {date} {clock}\\nYour order {order}
> How can we help you?\\n> Your {shop} team
On {date}, {shop} wrote:\\n> please give us your order number."""
