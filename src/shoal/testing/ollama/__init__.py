"""The parts of the fake Ollama server; use it through `shoal.testing.fake_ollama`."""
