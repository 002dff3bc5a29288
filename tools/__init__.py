"""This project's tools: typed functions that its agents run on or call."""
