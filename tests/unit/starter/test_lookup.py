"""`quote`: the right passage, its best sentences, its address, and how sure it is."""

from shoal.core.passage import Passage
from tools.lookup import quote

PIN = """# PIN

## Where do I find my PIN?
> The card came without a PIN.
> Is the PIN sent by post?

You see it in the app. It is never sent by post. Cats are fine. Dogs are, too. Confirm with your passcode."""
LOST = """## My card was "lost" - or stolen (100 %).

Freeze the card."""


def passage(text: str, score: float | None, heading: str = "PIN > Where do I find my PIN?") -> Passage:
    return Passage(text=text, source="cards/pin.md", start=0, end=len(text), heading=heading, score=score)


def test_quotes_first_and_nearest_sentences_in_their_order_with_the_address() -> None:
    answer = quote("is my pin sent by post? confirm please", (passage(PIN, 0.7),))

    assert answer.value == (
        "You see it in the app. It is never sent by post. Confirm with your passcode."
        " [cards/pin.md#where-do-i-find-my-pin]"
    )


def test_headings_and_ways_to_ask_are_never_quoted() -> None:
    answer = quote("the card came without a pin", (passage(PIN, 0.7),))

    assert "without" not in (answer.value or "")


def test_ways_to_ask_decide_between_passages_of_equal_meaning() -> None:
    other = passage("## How do I change my PIN?\n\nAt a cash machine.", 0.6)

    answer = quote("my card came without a PIN", (other, passage(PIN, 0.6)))

    assert (answer.value or "").startswith("You see it")


def test_is_surer_the_better_it_fits_and_the_more_it_leads() -> None:
    alone = quote("is the pin sent by post", (passage(PIN, 0.8),)).probability
    poor = quote("what is the weather", (passage(PIN, 0.1),)).probability
    leads = quote("is the pin sent by post", (passage(PIN, 0.8), passage(LOST, 0.2))).probability

    assert poor is not None
    assert alone is not None
    assert leads is not None
    assert poor < 0.05
    assert alone > 0.9
    assert leads > alone


def test_without_passages_there_is_no_answer() -> None:
    assert quote("anything", ()).value is None
    assert quote("anything", ()).probability == 0.0
    assert quote("anything", (passage("## Only a heading", 0.9),)).value is None


def test_a_passage_nobody_scored_gives_no_certainty() -> None:
    answer = quote("hello", (passage("Earlier answer.", None, heading=""),))

    assert answer.value == "Earlier answer. [cards/pin.md]"
    assert (answer.probability or 0) < 0.05


def test_anchors_are_those_of_markdown_viewers() -> None:
    answer = quote("card stolen", (passage(LOST, 0.6, heading='My card was "lost" - or stolen (100 %).'),))

    assert (answer.value or "").endswith("[cards/pin.md#my-card-was-lost---or-stolen-100-]")
