"""A certificate: what calibration promised for one agent, and everything the promise depends on.

It is kept as JSON with a hash over its content. It speaks for one agent, made of one model, prompt,
schema and router: where any of these has changed, it is void. The hash guards against slips, not against
forgers: whoever can write the file can also hash it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from shoal.core.errors import ConfigError, StorageDamaged, StorageError
from shoal.router.escalation.combiner import Combiner
from shoal.router.escalation.difficulty import DifficultyReader
from shoal.router.escalation.learn_then_test import explain_shortfall

__all__ = ["Certificate", "Digests", "load_certificate", "parse_certificate", "save_certificate"]

FORMAT = 3
METHOD = "learn-then-test, fixed sequence, Clopper-Pearson"


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """Content hashes of what an agent's answers depend on. None = the engine does not tell."""

    model: str | None = None
    prompt: str | None = None
    """Instructions, examples and checks."""
    schema: str | None = None
    router: str | None = None
    tools: str | None = None
    """What they say of themselves, and the source of their functions."""
    knowledge: str | None = None
    """The documents of the folder."""

    def changed(self, now: "Digests") -> tuple[str, ...]:
        """Names of the parts that are not what they were."""
        return tuple(
            item.name for item in fields(self) if getattr(self, item.name) != getattr(now, item.name)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What was promised for one agent."""

    agent: str
    threshold: float | None
    """Least confidence of an answer that is kept; None = nothing is promised."""
    max_error: float
    """Promised: at most this share of the answers kept is wrong."""
    level: float
    """... with this probability, over the draw of the labelled rows."""
    rows_fitted: int
    rows_tested: int
    """Rows the promise rests on; none of them was fitted on."""
    kept: int
    """Of the tested rows, those whose answer the threshold keeps."""
    wrong: int
    """Of these, the wrong ones."""
    error_bound: float | None
    """Upper confidence bound of the error among the answers kept, at `level`."""
    share_local: float
    """Part of the tested rows that was kept ..."""
    share_low: float
    """... and its two-sided confidence interval at `level`."""
    share_high: float
    rows_needed: int | None
    """Labelled rows with which a promise would be likely. None: there is one, or no number would do."""
    combiner: Combiner
    digests: Digests
    reader: DifficultyReader | None = None
    """Of the difficulty of requests; None = their texts do not tell."""
    method: str = METHOD
    format: int = FORMAT

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the hash over everything above."""
        return _hash(asdict(self))[:12]

    @property
    def shortfall(self) -> str:
        """Why nothing is promised, where nothing is."""
        return explain_shortfall(rows=self.rows_fitted + self.rows_tested, needed=self.rows_needed)

    def unusable(self, *, max_error: float | None, level: float, now: Digests | None) -> str | None:
        """Why it does not count today, as half a sentence; None = it does."""
        if self.threshold is None:
            return f"its certificate promises nothing: {self.shortfall}"
        if now is not None and (changed := self.digests.changed(now)):
            return f"its certificate is void: {' and '.join(changed)} changed since"
        if max_error is not None and self.max_error > max_error:
            return f"its certificate promises {self.max_error:.0%} errors at most, not {max_error:.0%}"
        if max_error is not None and self.level < level:
            return f"its certificate is {self.level:.0%} sure, not {level:.0%}"
        return None


def save_certificate(certificate: Certificate, path: Path) -> None:
    """Write it, replacing what is there.

    Raises:
        StorageError: the file cannot be written.
    """
    content = asdict(certificate)
    text = json.dumps({**content, "hash": _hash(content)}, indent=2, ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise StorageError(f"the certificate cannot be written to {path}", why=str(error)) from error


def load_certificate(path: Path, *, agent: str) -> Certificate:
    """Read the certificate of an agent.

    Raises:
        StorageError: the file cannot be read.
        StorageDamaged: it is not as it was written, or of another version of Shoal.
        ConfigError: it is another agent's.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"the certificate at {path} cannot be read", why=str(error)) from error
    return parse_certificate(text, agent=agent)


def parse_certificate(text: str, *, agent: str) -> Certificate:
    """The certificate of an agent from its JSON. Raises what `load_certificate` raises."""
    from pydantic import TypeAdapter, ValidationError

    mend = f"shoal calibrate DATA --agent {agent}"
    try:
        content = json.loads(text)
        stated = content.pop("hash", None)
        if (made := content.get("format")) != FORMAT:
            raise StorageDamaged(
                f"{agent}'s certificate is of another version of Shoal",
                why=f"it has format {made}; this one reads {FORMAT}",
                mend=mend,
            )
        certificate = TypeAdapter(Certificate).validate_python(content)
    except (ValueError, AttributeError, ValidationError) as error:
        why = str(error).splitlines()[0]
        raise StorageDamaged(f"{agent}'s certificate cannot be read", why=why, mend=mend) from error
    if stated != _hash(content) or content != _as_json(certificate):
        raise StorageDamaged(
            f"{agent}'s certificate was changed after it was made",
            why="its hash does not match its content, so its promise cannot be trusted",
            mend=mend,
        )
    if certificate.agent != agent:
        raise ConfigError(
            f"the certificate is {certificate.agent}'s, not {agent}'s",
            why="a promise made for one agent says nothing about another",
            mend=mend,
        )
    return certificate


def _as_json(certificate: Certificate) -> object:
    """As JSON gives it back: tuples are lists."""
    return json.loads(json.dumps(asdict(certificate)))


def _hash(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
