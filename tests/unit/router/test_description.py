from shoal import Router
from shoal.router.description import describe_agents
from shoal.router.example import Example


def test_a_job_describes_an_agent() -> None:
    assert describe_agents(["b", "a"], {"a": "Pay.", "b": "Ship."}) == [
        Example("Ship.", "b"),
        Example("Pay.", "a"),
    ]


def test_without_jobs_names_are_read_as_words() -> None:
    found = describe_agents(["card_arrival", "GetWeather", "top-up"], None)
    assert [example.text for example in found] == ["card arrival", "get weather", "top up"]


def test_names_that_only_number_the_agents_say_nothing() -> None:
    assert describe_agents(["class_1", "class_2"], None) == []
    assert describe_agents(["a", "refunds"], None) == []


def test_a_name_draws_texts_that_mean_it() -> None:
    """Of two agents with an example each that says little, the one so called gets it."""
    rows = [("hello there, a question", "refund_request"), ("hi, I need help", "change_of_address")]
    router = Router.fit(rows)
    assert router.decide("I want my money back").best == "refund_request"
    assert router.decide("I moved to another street").best == "change_of_address"
