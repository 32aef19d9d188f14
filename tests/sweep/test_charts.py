"""Pictures of a study: where a trial's line goes."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pettingllms.config.sweep import SweepConfig
from pettingllms.errors import RefusedError
from pettingllms.sweep.ledger.rows import Row
from pettingllms.sweep.study.charts import parallel_coordinates
from pettingllms.sweep.study.reading import Reading
from pettingllms.sweep.study.shelves import Study

METRIC = "val/success_rate"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def reading():
    """Three axes: a number on a logarithmic scale, words, and one that only some cells sweep."""

    def make(*scores):
        rows = {}
        for number, score in enumerate(scores):
            values = {"lr": 10.0 ** -(number + 1), "loss": ["vanilla", "gspo"][number % 2], "clip": 0.5}
            active = ("lr", "loss", "clip") if number % 2 else ("lr", "loss")
            rows[number] = Row(number, values, active, "complete", objectives=(score,))
        header = {
            "axes": [["lr"], ["loss"], ["clip"]],
            "lock": {"space": {"lr": {"kind": "float", "log": True}}},
        }
        sweep = SweepConfig()
        study = Study("demo", Path("outputs/demo"), None, None)
        return Reading(study, header, rows, sweep)

    return make


def lines(svg):
    """The points of each trial's line by its title, the topmost last."""
    found = {}
    for line in ElementTree.fromstring(svg).iter(f"{SVG}polyline"):
        title = line.find(f"{SVG}title")
        if title is not None:
            points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
            found[re.match(r"trial (\d+)", title.text)[1]] = points
    return found


def test_a_line_goes_through_the_values_of_its_trial(reading):
    found = lines(parallel_coordinates(reading(0.2, 0.6, 0.4), METRIC))
    # The best one is drawn last, on top of the others.
    assert list(found) == ["0", "2", "1"]
    assert [x for x, _ in found["0"]] == [90, 240, 390, 540]
    # lr = 0.1, 0.01, 0.001: equal distances on a logarithmic scale, the largest on top.
    heights = [found[number][0][1] for number in "012"]
    assert heights[0] < heights[1] < heights[2]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.2)
    # The same word is at the same height, another one elsewhere.
    assert found["0"][1] == found["2"][1] != found["1"][1]
    # An axis that a cell does not sweep is crossed at its foot, below all numbers.
    assert found["0"][2] == found["2"][2] == (390, 385)
    assert found["1"][2][1] < 385
    # More success is higher.
    assert found["0"][3][1] > found["2"][3][1] > found["1"][3][1]


def test_equal_trials_look_alike_and_others_by_how_good_they_are(reading):
    def colours(*scores):
        root = ElementTree.fromstring(parallel_coordinates(reading(*scores), METRIC))
        return [
            line.get("stroke") for line in root.iter(f"{SVG}polyline") if line.find(f"{SVG}title") is not None
        ]

    assert len(set(colours(0.5, 0.5, 0.5))) == 1
    first, second, best = colours(0.5, 0.5, 1.0)
    assert first == second != best
    # By value, not by place: nearly the best is nearly as bright.
    dark, near, bright = (int(colour[1:3], 16) for colour in colours(0.0, 0.99, 1.0))
    assert bright - near < 5 < near - dark


def test_long_values_that_begin_alike_are_two(reading):
    study = reading(0.2, 0.6)
    long = "a value that is longer than its axis is wide: "
    rows = {n: replace(row, values=row.values | {"loss": f"{long}{n}"}) for n, row in study.rows.items()}
    found = lines(parallel_coordinates(replace(study, rows=rows), METRIC))
    assert found["0"][1] != found["1"][1]


def test_there_is_no_picture_of_nothing(reading):
    with pytest.raises(RefusedError, match="no trial has completed with val/success_rate"):
        parallel_coordinates(reading(), METRIC)
