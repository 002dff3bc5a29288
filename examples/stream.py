"""One agent on its own, asked asynchronously, its words shown as they come."""

import asyncio

from shoal import Agent, Attempt

summariser = Agent(
    "summariser",
    job="Summarise a text in one short sentence.",
    model="small",
    examples=[
        (
            "Hi, I ordered shoes last week and they still have not arrived. Can you check?",
            "The customer asks where the shoes ordered last week are.",
        )
    ],
    max_tokens=40,
)


async def main() -> None:
    mail = "Hello, my parcel came today but the lamp in it is broken. I would like a new one, please."
    async for event in summariser.stream(mail):
        if isinstance(event, Attempt):
            print(f"\n{event.verdict.action}: {event.verdict.reason}")
        else:
            print(getattr(event, "text", ""), end="", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
