"""The vocabulary of Shoal: plain data and ports. Imports the standard library and pydantic only."""
