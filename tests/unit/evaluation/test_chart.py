import math
from pathlib import Path

import pytest
from PIL import Image

from shoal.core.errors import ConfigError, StorageError
from shoal.evaluation.chart import Chart, Series, draw_chart

CURVE = Series(name="curve", points=[(0, 0.1), (0.5, 0.7), (1, 0.9)], band=[(0, 0.2), (0.6, 0.8), (0.8, 1)])


def chart(*series: Series) -> Chart:
    return Chart(title="Title", across="x", up="y", series=series, reference=[(0, 0), (1, 1)])


def test_a_png_holds_ink_of_every_series(tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    draw_chart(chart(CURVE), one)
    steps = Series(name="steps", points=[(0, 0.4), (0.6, 0.5), (1, 0.5)], style="step")
    draw_chart(chart(CURVE, steps), two)
    with Image.open(one) as first, Image.open(two) as second:
        blue, orange = (29, 78, 216), (217, 119, 6)
        assert blue in pixels(first)
        assert orange not in pixels(first)
        assert {blue, orange} <= pixels(second)


def pixels(image: Image.Image) -> set[tuple[int, ...]]:
    colours = image.convert("RGB").getcolors(image.width * image.height)
    return {colour for _, colour in colours or [] if isinstance(colour, tuple)}


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_numbers_give_the_same_file(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        draw_chart(chart(CURVE), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_what_is_not_a_number_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'gap' of 'Title'"):
        draw_chart(chart(Series(name="gap", points=[(0, math.nan)])), tmp_path / "x.png")


def test_a_band_must_fit_its_points(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1 points, but 2 bands"):
        draw_chart(chart(Series(name="s", points=[(0, 0)], band=[(0, 1), (0, 1)])), tmp_path / "x.png")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    _ = (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        draw_chart(chart(CURVE), tmp_path / "file" / "x.png")
