"""A version's model card: what a person wants to know before trusting it, as Markdown."""

from shoal.specialists.version import Score, Version

__all__ = ["build_card"]


def build_card(version: Version) -> str:
    """Data, licence, hashes, metrics with intervals, base, seed and energy, all from its record."""
    data, tuning = version.data, version.tuning
    energy = "not measured" if tuning.energy_j is None else f"{tuning.energy_j / 3600:.2f} Wh"
    settings = ", ".join(f"{name} {value}" for name, value in tuning.settings.items())
    gate = f"Gate: {'passed' if version.gate.passed else '**not passed**'}. {' '.join(version.gate.reasons)}"
    came_from = (
        f"{data.rows} rows to train on, {data.held_out} held out. Source: {data.source}. "
        f"Licence: {data.licence}. Hash of the rows: `{data.digest}`."
    )
    trained = (
        f"{tuning.steps} steps in {tuning.seconds / 60:.1f} minutes on {tuning.device}; energy: {energy}. "
        f"Settings: {settings}."
    )
    weights = (
        f"Base `{version.base_digest}`, adapter `{version.adapter_digest}` "
        f"({version.adapter_bytes / 1e6:.1f} MB)."
    )
    parts = [
        f"# {version.key}",
        f"A LoRA adapter for the agent `{version.agent}` on `{version.base}`, made {version.created}.",
        version.notes.strip(),
        "## Scores on held-out rows",
        _table(version),
        gate.strip(),
        f"## Data\n\n{came_from}",
        f"## Training\n\n{trained}\n\n{weights}",
        "## Prompt",
        "The system message it was trained with, and is asked with:",
        "\n".join(f"> {line}".rstrip() for line in version.system.splitlines()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(version: Version) -> str:
    if not version.scores:
        return "None."
    rows = [_row(name, score) for name, score in version.scores.items()]
    return "\n".join(["| metric | value | 95 % interval | rows |", "|---|---|---|---|", *rows])


def _row(name: str, score: Score) -> str:
    return f"| {name} | {score.value:.3f} | {score.low:.3f} to {score.high:.3f} | {score.rows} |"
