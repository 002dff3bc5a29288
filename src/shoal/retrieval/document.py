"""The documents of a knowledge folder, as they are on disk now: which files count, and their text.

Only `.md` and `.txt` in UTF-8. Anything else is refused by name instead of being indexed as noise or
left out in silence; files and folders whose name begins with a dot are not documents.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shoal.core.errors import ConfigError, InputError

__all__ = ["SUFFIXES", "Document", "digest_documents", "find_documents", "read_document"]

MARKDOWN = frozenset({".md", ".markdown"})
SUFFIXES = MARKDOWN | {".txt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    source: str
    """The folder's name and the path within it, with forward slashes: "handbook/leave/parental.md"."""
    text: str
    """Decoded without translating line ends, so that offsets are those of the file."""
    sha256: str
    """Of the bytes, in hex."""
    markdown: bool


def find_documents(root: Path) -> dict[str, Path]:
    """The document files below `root` (or `root` itself, where it is a file), by source, sorted.

    Raises:
        ConfigError: `root` does not exist, holds no document, or holds a file of another type.
    """
    if not root.exists():
        raise ConfigError(
            f"there is no {root}", why="it is named as knowledge", mend="correct the path, or create it"
        )
    files = sorted(_visible_files(root)) if root.is_dir() else [root]
    for file in files:
        if file.suffix.lower() not in SUFFIXES:
            raise ConfigError(
                f"cannot index {file}",
                why=f"only {', '.join(sorted(SUFFIXES))} files can be indexed",
                mend=f"convert it to text, or move it out of {root if root.is_dir() else file.parent}",
            )
    if not files:
        raise ConfigError(f"there is no document in {root}", mend=f"put .md or .txt files into {root}")
    return {_source(file, root): file for file in files}


def read_document(source: str, path: Path) -> Document:
    """Read one file.

    Raises:
        InputError: it cannot be read, or is not UTF-8 text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}", why=str(error), mend=f"chmod u+r {path}") from error
    encoding_mend = f'iconv -f WINDOWS-1252 -t UTF-8 "{path}" -o "{path}.utf8" && mv "{path}.utf8" "{path}"'
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text", why=str(error), mend=encoding_mend) from error
    if "\0" in text:
        raise InputError(
            f"{path} is not text",
            why="it holds NUL bytes: binary, or UTF-16",
            mend=f"convert or remove {path}",
        )
    return Document(
        source=source,
        text=text,
        sha256=hashlib.sha256(data).hexdigest(),
        markdown=path.suffix.lower() in MARKDOWN,
    )


def digest_documents(root: Path) -> str | None:
    """Content hash of the documents below `root`: their names and bytes. Reads all of them.

    None where they cannot be read or indexed; whoever looks something up is told why.
    """
    content = hashlib.sha256()
    try:
        for source, path in find_documents(root).items():
            content.update(f"{source}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    except (ConfigError, OSError):
        return None
    return content.hexdigest()


def _visible_files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _visible_files(path)
        else:
            yield path


def _source(file: Path, root: Path) -> str:
    if file == root:
        return file.name
    return f"{root.name}/{file.relative_to(root).as_posix()}"
