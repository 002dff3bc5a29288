"""Chat templates in Ollama's language (Go's), for a GGUF whose own template an Ollama does not know.

From 0.17 on Ollama compares the template in the GGUF with those it knows. Where none is near, or the GGUF has
none, it takes the last message alone and drops system prompt and roles without a word.
"""

from dataclasses import dataclass
from pathlib import Path

from shoal.core.errors import RequestRefused
from shoal.models.gguf_header import read_header

__all__ = ["OllamaTemplate", "reads_system", "template_for"]


@dataclass(frozen=True, slots=True)
class OllamaTemplate:
    mark: str
    """Part of the templates, in any language, of all models that are talked to like this."""
    text: str
    stops: tuple[str, ...]


CHATML = OllamaTemplate(
    "<|im_start|>",
    "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n",
    ("<|im_start|>", "<|im_end|>"),
)
LLAMA = OllamaTemplate(
    "<|start_header_id|>",
    "{{ range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>"
    "{{ end }}<|start_header_id|>assistant<|end_header_id|>\n\n",
    ("<|eot_id|>", "<|start_header_id|>"),
)
PHI = OllamaTemplate(
    "<|end|>",
    "{{ range .Messages }}<|{{ .Role }}|>\n{{ .Content }}<|end|>\n{{ end }}<|assistant|>\n",
    ("<|end|>", "<|user|>", "<|system|>"),
)
# These have no turn for a system: it opens the user's next one.
GEMMA = OllamaTemplate(
    "<start_of_turn>",
    "{{ $open := false }}{{ range .Messages }}"
    '{{ if eq .Role "system" }}<start_of_turn>user\n{{ .Content }}\n\n{{ $open = true }}'
    '{{ else if eq .Role "assistant" }}<start_of_turn>model\n{{ .Content }}<end_of_turn>\n'
    "{{ else }}{{ if not $open }}<start_of_turn>user\n{{ end }}{{ $open = false }}"
    "{{ .Content }}<end_of_turn>\n{{ end }}{{ end }}<start_of_turn>model\n",
    ("<end_of_turn>", "<start_of_turn>"),
)
KNOWN = (CHATML, LLAMA, GEMMA, PHI)


def reads_system(template: str) -> bool:
    """Whether a Go template has a place for a system prompt."""
    return ".System" in template or ".Messages" in template


def template_for(gguf: Path) -> OllamaTemplate:
    """The one for a GGUF by its own template; where it has none by its kind: a Gemma's, else ChatML, which
    llama.cpp takes.

    Raises:
        RequestRefused: its own is none that is known here.
        StorageError: the file cannot be read.
        StorageDamaged: it is no GGUF.
    """
    header = read_header(gguf)
    own = header.get("tokenizer.chat_template")
    if not own:
        return GEMMA if str(header.get("general.architecture", "")).startswith("gemma") else CHATML
    for known in KNOWN:
        if known.mark in str(own):
            return known
    raise RequestRefused(
        f"Ollama does not know the chat template of {gguf}",
        why="without one it would drop the system prompt",
        mend=f'serve it with the embedded engine, which uses the GGUF\'s own: model="embedded:{gguf}"',
    )
