"""Certificates of a team's agents: made from labelled attempts, kept in a folder, found again.

The labelled attempts are kept beside the certificates, so that another promise can be looked at without
asking a model again.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from shoal.core.errors import RunError, StorageDamaged, StorageError
from shoal.evaluation.labelling import Labelled
from shoal.router.escalation import (
    Certificate,
    Digests,
    LabelledAttempt,
    calibrate,
    load_certificate,
    read_difficulty,
    save_certificate,
)

if TYPE_CHECKING:
    from shoal.router.encoder import Encoder

__all__ = ["Report", "certify", "load_attempts", "load_certificates", "save_report"]

FEWEST = 2
"""Rows below which not even "how many would do" can be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came out of labelled rows."""

    certificates: tuple[Certificate, ...]
    """One an agent, also where nothing could be promised: `threshold` is None then."""
    accuracy: Mapping[str, float]
    """Per agent, share of its rows whose answer was acceptable, in [0, 1]: it alone, without any policy."""
    too_few: Mapping[str, int]
    """Agents that met fewer than two rows: no certificate."""
    nobody: int
    """Rows that the router sent to nobody."""
    elsewhere: int
    """Rows that went to other agents than the one asked for."""
    failed: Mapping[str, int]
    """Per model, rows that it gave no answer to (too long for it, refused, broken off, too late): they count
    as not acceptable."""


def certify(
    labelled: Labelled,
    digests: Mapping[str, Digests],
    encoder: "Encoder",
    *,
    max_error: float,
    level: float,
) -> Report:
    """A certificate for every agent that met rows. Some seconds for thousands of rows.

    Args:
        labelled: what the agents answered; where the texts of its requests tell how hard they are, that is
            added to what was seen of each.
        digests: by agent name; the model's is taken from the answers.
        encoder: of the requests.
        max_error: share of wrong answers among those kept, in (0, 1).
        level: probability that the promise holds, in (0, 1).

    Raises:
        RunError: the model of an agent changed between two rows.
    """
    certificates: list[Certificate] = []
    for agent, attempts in sorted(labelled.attempts.items()):
        models = labelled.models.get(agent, set())
        if len(models) > 1:
            raise RunError(f"the model of {agent} changed while it was calibrated", mend="calibrate it again")
        if len(attempts) >= FEWEST:
            now = replace(digests[agent], model=next(iter(models), None))
            labelled.attempts[agent], reader = read_difficulty(attempts, encoder)
            certificates.append(
                calibrate(
                    agent,
                    labelled.attempts[agent],
                    max_error=max_error,
                    level=level,
                    digests=now,
                    reader=reader,
                )
            )
    return Report(
        certificates=tuple(certificates),
        accuracy={
            agent: sum(one.acceptable for one in attempts) / len(attempts)
            for agent, attempts in labelled.attempts.items()
        },
        too_few={
            agent: len(attempts) for agent, attempts in labelled.attempts.items() if len(attempts) < FEWEST
        },
        nobody=labelled.nobody,
        elsewhere=labelled.elsewhere,
        failed={model: len(failures) for model, failures in labelled.failures.items()},
    )


def save_report(report: Report, labelled: Labelled, folder: Path) -> None:
    """Keep every certificate, and what it was made from, for its owner only.

    Raises:
        StorageError: the folder cannot be written.
    """
    for certificate in report.certificates:
        save_certificate(certificate, folder / f"{certificate.agent}.json")
        path = _attempts_of(folder, certificate.agent)
        try:
            path.touch(mode=0o600)  # it holds what people wrote
            rows = [
                json.dumps(asdict(row), ensure_ascii=False) for row in labelled.attempts[certificate.agent]
            ]
            path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise StorageError(f"labelled attempts cannot be written to {path}", why=str(error)) from error


def load_certificates(folder: Path, agents: Iterable[str]) -> dict[str, Certificate]:
    """Those of these agents that are there.

    Raises:
        StorageError: one cannot be read.
        StorageDamaged: one is not as it was written.
        ConfigError: one is another agent's.
    """
    paths = {agent: folder / f"{agent}.json" for agent in agents}
    return {agent: load_certificate(path, agent=agent) for agent, path in paths.items() if path.is_file()}


def load_attempts(folder: Path, agent: str) -> tuple[LabelledAttempt, ...]:
    """What an agent's certificate was made from; empty when it was not kept.

    Raises:
        StorageDamaged: the file is not as it was written.
    """
    path = _attempts_of(folder, agent)
    if not path.is_file():
        return ()
    try:
        return tuple(
            _ATTEMPT.validate_json(line) for line in path.read_text(encoding="utf-8").split("\n") if line
        )
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise StorageDamaged(
            f"{path} cannot be read",
            why=str(error).splitlines()[0],
            mend=f"shoal calibrate DATA --agent {agent}",
        ) from error


def _attempts_of(folder: Path, agent: str) -> Path:
    return folder / f"{agent}.rows.jsonl"


_ATTEMPT: TypeAdapter[LabelledAttempt] = TypeAdapter(LabelledAttempt)
