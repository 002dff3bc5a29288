"""Content hashes of files."""

import hashlib
from functools import cache
from pathlib import Path

__all__ = ["hash_file"]


def hash_file(path: Path) -> str:
    """`sha256:` and the hexadecimal digest. Computed once per state of the file, about 1 s for 1.5 GB."""
    status = path.stat()
    return _hash_file(path, status.st_size, status.st_mtime_ns)


@cache
def _hash_file(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
