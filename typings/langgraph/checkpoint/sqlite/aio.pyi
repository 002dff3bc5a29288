import aiosqlite
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

class AsyncSqliteSaver(BaseCheckpointSaver):
    def __init__(self, conn: aiosqlite.Connection, *, serde: JsonPlusSerializer) -> None: ...
    async def setup(self) -> None: ...
