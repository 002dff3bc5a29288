from collections.abc import Sequence
from typing import Literal

class Spines:
    def __getitem__(self, key: list[str]) -> Spines: ...
    def set_visible(self, visible: bool) -> None: ...

class Axes:
    spines: Spines

    def set_title(self, label: str, *, fontsize: int, color: str, loc: str) -> object: ...
    def set_xlabel(self, xlabel: str) -> object: ...
    def set_ylabel(self, ylabel: str) -> object: ...
    def set_xscale(self, value: Literal["linear", "log"]) -> None: ...
    def set_yscale(self, value: Literal["linear", "log"]) -> None: ...
    def set_xlim(self, left: float, right: float) -> object: ...
    def set_ylim(self, bottom: float, top: float) -> object: ...
    def set_axisbelow(self, b: bool) -> None: ...
    def grid(self, *, color: str, linewidth: float) -> None: ...
    def legend(self, *, frameon: bool, fontsize: int) -> object: ...
    def plot(
        self,
        x: Sequence[float],
        y: Sequence[float],
        *,
        color: str,
        linewidth: float,
        linestyle: str = ...,
        drawstyle: str = ...,
        label: str = ...,
    ) -> object: ...
    def scatter(
        self,
        x: Sequence[float],
        y: Sequence[float],
        *,
        s: float | Sequence[float],
        color: str,
        alpha: float,
        label: str,
    ) -> object: ...
    def fill_between(
        self,
        x: Sequence[float],
        y1: Sequence[float],
        y2: Sequence[float],
        *,
        color: str,
        alpha: float,
        linewidth: float,
    ) -> object: ...
    def errorbar(
        self,
        x: Sequence[float],
        y: Sequence[float],
        *,
        yerr: tuple[Sequence[float], Sequence[float]],
        fmt: str,
        ecolor: str,
        linewidth: float,
    ) -> object: ...
