from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import pytest

from dyncompile.manifest import Decision
from dyncompile.measuring.findings import Findings, Part, Taken
from dyncompile.reporting.pictures import PICTURES, LeftOut, Picture
from dyncompile.reporting.pictures.accuracy import accuracy
from dyncompile.reporting.pictures.classes import classes
from dyncompile.reporting.pictures.exits import exits
from dyncompile.reporting.pictures.parts import parts
from dyncompile.reporting.pictures.tree import tree
from dyncompile.reporting.tables import Cell, Table
from dyncompile.reporting.view import View
from tests.reporting import examples
from tests.reporting.examples import gate
from tests.reporting.test_summary import changed

Maker = Callable[[View], tuple[Picture | LeftOut, ...]]


def pictures(findings: Findings, *makers: Maker) -> Mapping[str, Picture]:
    view = View(findings)
    found = [one for maker in makers for one in maker(view)]
    return {one.key: one for one in found if isinstance(one, Picture)}


def headings(table: Table) -> list[str]:
    return [one.text if isinstance(one, Cell) else one for one in table.headings]


def cells(table: Table) -> list[list[str]]:
    """Return what is shown, spaces plain."""
    rows = [[one.text if isinstance(one, Cell) else one for one in row] for row in table.rows]
    return [[text.replace("\N{NO-BREAK SPACE}", " ") for text in row] for row in rows]


def texts(drawing: tuple[str, ...]) -> str:
    return "\n".join(drawing)


@pytest.fixture(scope="module", name="small")
def small_findings() -> Findings:
    return examples.small()


@pytest.fixture(scope="module", name="shown")
def pictures_of_small(small: Findings) -> Mapping[str, Picture]:
    return pictures(small, *PICTURES)


def with_taken(small: Findings, *taken: Taken) -> Findings:
    """Return findings whose samples took these paths, at every setting."""
    samples = sum(one.samples for one in taken)
    points = tuple(
        dataclasses.replace(point, taken=taken, samples=samples) for point in small.setups[0].points
    )
    return changed(small, points=points)


def test_each_picture_is_drawn_for_both_screens(shown: Mapping[str, Picture]) -> None:
    assert list(shown) == ["accuracy", "paths-taken", "ends", "classes", "parts", "tree", "paths"]
    for picture in shown.values():
        assert list(picture.drawings) == ["wide", "narrow"]
        assert all(picture.drawings.values())
        assert picture.drawings["wide"] != picture.drawings["narrow"]


def test_axes_are_named_with_their_units(shown: Mapping[str, Picture]) -> None:
    for screen in ("wide", "narrow"):
        assert "classified right, %" in texts(shown["accuracy"].drawings[screen])
        assert "time a call, ms" in texts(shown["accuracy"].drawings[screen])
        assert "share of the samples, %" in texts(shown["ends"].drawings[screen])
        assert "mean time a call, µs" in texts(shown["parts"].drawings[screen])
        assert "time a call, µs" in texts(shown["paths"].drawings[screen])


def test_what_is_far_slower_is_named_beside_the_picture(small: Findings) -> None:
    near, far = examples.other(900.0), examples.other(50_000.0)
    picture = pictures(changed(small, others={"near": near, "far": far}), accuracy)["accuracy"]
    assert "near: 900" in texts(picture.drawings["wide"])
    assert "far" not in texts(picture.drawings["wide"]).split(">near")[1][:200]
    assert "Beyond the right edge: far (50.0\N{NO-BREAK SPACE}ms)." in picture.says


def test_samples_are_counted_where_they_leave(small: Findings) -> None:
    taken = (
        Taken({"skip1": 0, "exit1": 1}, 60, 50),
        Taken({"skip1": 0, "exit1": 0, "skip2": 1, "exit2": 0}, 25, 20),
        Taken({"skip1": 1, "exit1": 1}, 10, 10),
        Taken({"skip1": 0, "exit1": 0, "skip2": 0, "exit2": 1}, 5, 0),
    )
    shown = pictures(with_taken(small, *taken), exits)
    (ends,) = shown["ends"].tables
    assert headings(ends)[1:4] == ["exit1 on", "exit2 off", "exit2 on"]
    assert cells(ends)[0][1:4] == ["70.0 %", "25.0 %", "5.0 %"]
    (paths,) = shown["paths-taken"].tables
    assert [row[2:] for row in cells(paths)] == [
        ["60", "60.0 %", "83.3 %"],
        ["25", "25.0 %", "80.0 %"],
        ["10", "10.0 %", "100.0 %"],
        ["5", "5.0 %", "0.0 %"],
    ]


def test_a_path_is_the_most_frequent_only_if_it_is_alone(small: Findings) -> None:
    first, second, *_ = small.setups[0].points[0].taken
    for samples, words in ((4, "No path is more frequent than"), (3, "is the most frequent")):
        taken = [Taken(first.path, 4, None), Taken(second.path, samples, None)]
        picture = pictures(with_taken(small, *taken), exits)["paths-taken"]
        assert words in " ".join(picture.says)


def test_a_sentence_names_a_long_path_shortly(small: Findings) -> None:
    path = {f"block_{n}": 1 for n in range(40)}
    picture = pictures(with_taken(small, Taken(path, 4, None)), exits)["paths-taken"]
    assert all(len(sentence) < 140 for sentence in picture.says)


def test_rare_paths_and_ends_are_put_together() -> None:
    findings = examples.huge()
    decisions = tuple(gate(f"g{n}") for n in range(30))
    taken = tuple(
        Taken({f"g{k}": int(k == n) for k in range(n + 1)}, 40 - n, None) for n in range(30)
    )
    main = findings.setups[0]
    point = dataclasses.replace(main.points[4], taken=taken, samples=765)
    findings = dataclasses.replace(
        findings,
        decisions=decisions,
        setups=(dataclasses.replace(main, points=(point,), paths=(), parts=()),),
    )
    shown = pictures(findings, exits)
    assert "other: 18\N{NO-BREAK SPACE}paths, no bar" in texts(
        shown["paths-taken"].drawings["wide"]
    )
    (ends,) = shown["ends"].tables
    assert headings(ends)[1:9] == [*(f"g{n} on" for n in range(7)), "other"]
    shares = [float(text.removesuffix(" %")) for text in cells(ends)[0][1:9]]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert shares[-1] == pytest.approx(100 * (765 - sum(range(34, 41))) / 765, abs=0.06)


def test_classes_are_shown_by_their_own_samples(small: Findings) -> None:
    main = small.setups[0]
    options = {
        "skip1": ((1, 3, 0), (0, 2, 0), (0, 0, 0)),
        "exit1": ((4, 0, 0), (1, 1, 0), (0, 0, 0)),
        "skip2": ((0, 1, 3), (0, 0, 2), (0, 0, 0)),
        "exit2": ((1, 0, 3), (0, 0, 2), (0, 0, 0)),
    }
    points = tuple(dataclasses.replace(point, options=options) for point in main.points)
    findings = dataclasses.replace(changed(small, points=points), classes=("cat", "dog", "none"))
    picture = pictures(findings, classes)["classes"]
    (table,) = picture.tables
    assert headings(table) == ["decision", "cat", "dog", "none"]
    assert cells(table) == [
        ["skip1 on", "75.0 %", "100.0 %", "-"],
        ["exit1 on", "0.0 %", "50.0 %", "-"],
        ["skip2 not reached", "75.0 %", "100.0 %", "-"],
        ["skip2 on", "25.0 %", "0.0 %", "-"],
        ["exit2 on", "0.0 %", "0.0 %", "-"],
    ]
    assert "White: the class has no sample." in picture.says


def test_without_labels_all_samples_are_one_column() -> None:
    (table,) = pictures(examples.without_data(), classes)["classes"].tables
    assert headings(table) == ["decision", "all"]


def test_operators_add_up_to_their_part(small: Findings) -> None:
    operators = {f"Op{n}": 2.0 * (9 - n) for n in range(9)}
    found = (Part("", 0, 100.0, operators), Part("exit1", 0, 50.0, {"Op0": 25.0}))
    picture = pictures(changed(small, parts=found), parts)["parts"]
    (table,) = picture.tables
    assert headings(table)[3:] == [*(f"Op{n}" for n in range(6)), "other"]
    always, exit1 = cells(table)
    assert always[:3] == ["always runs", "100 µs", "66.7 %"]
    figures = [float(text.removesuffix(" µs")) for text in always[3:]]
    assert sum(figures) == pytest.approx(100, abs=0.5)
    assert exit1 == ["exit1 off", "50.0 µs", "33.3 %", "25.0 µs", "", "", "", "", "", "25.0 µs"]


def test_decisions_stand_under_what_leads_to_them(small: Findings) -> None:
    alias = (("exit0", (1, 0)),)
    decisions: tuple[Decision, ...] = (
        dataclasses.replace(gate("outer"), aliases=alias),
        gate("inner", ("exit0", 1)),
        gate("innermost", ("outer", 0), ("inner", 1)),
        gate("lost", ("lost", 1)),
    )
    shown = pictures(dataclasses.replace(small, decisions=decisions), tree)["tree"]
    drawn = texts(shown.drawings["wide"])
    order = [drawn.index(f">{name}<") for name in ("outer", "inner", "innermost", "lost")]
    assert order == sorted(order)
    assert drawn.index(">inner<") < drawn.index(">on<", drawn.index(">innermost<"))
    (table,) = shown.tables
    assert [row[:3] for row in cells(table)][2:6:2] == [
        ["inner", "exit0=1", "off"],
        ["innermost", "outer=0, inner=1", "off"],
    ]


def test_paths_have_one_number_all_over(shown: Mapping[str, Picture]) -> None:
    (forced,) = shown["paths"].tables
    (taken,) = shown["paths-taken"].tables
    numbers = {row[1]: row[0] for row in cells(forced)}
    assert len(set(numbers.values())) == len(numbers) == 10
    assert {row[1]: row[0] for row in cells(taken)}.items() <= numbers.items()
    assert [row[0] for row in cells(forced)] == [str(n) for n in range(1, 11)]


def test_a_long_picture_is_cut_into_parts_that_fit_a_page() -> None:
    shown = pictures(examples.huge(), tree, classes)
    for key in ("tree", "classes"):
        parts = shown[key].drawings["wide"]
        assert len(parts) > 1
        heights = [
            float(part.partition('viewBox="0 0 860 ')[2].partition('"')[0]) for part in parts
        ]
        assert max(heights) < 1200
        assert max(heights) < 1.5 * min(heights)
        assert f"Part 2 of {len(parts)}." in parts[1]


def test_every_picture_says_why_it_is_missing(small: Findings) -> None:
    view = View(dataclasses.replace(small, setups=(), decisions=()))
    found = [one for picture in PICTURES for one in picture(view)]
    assert len(found) == 6
    assert all(isinstance(one, LeftOut) and one.why.endswith(".") for one in found)


def test_settings_are_in_order_and_named_by_what_differs() -> None:
    view = View(examples.huge())
    (picture,) = (one for one in accuracy(view) if isinstance(one, Picture))
    names = [row[0] for row in cells(picture.tables[0])]
    assert names[:5] == [*(f"threshold=0.{n}" for n in range(1, 5)), "default"]
    assert names[9:14] == ["threshold=1", "level=0", "level=1", "level=3", "level=4"]
    assert [name.rpartition("=")[2] for name in names[14:]] == ["0.1", "0.9", "inf"]


def test_many_classes_are_drawn_and_the_first_are_listed() -> None:
    main = examples.small().setups[0]
    options = {"skip1": ((1, 3, 0),) * 1000}
    points = tuple(dataclasses.replace(point, options=options) for point in main.points)
    findings = dataclasses.replace(
        changed(examples.small(), points=points), classes=tuple(map(str, range(1000)))
    )
    picture = pictures(findings, classes)["classes"]
    assert len(picture.tables) == 10
    assert headings(picture.tables[-1])[-1] == "99"
    assert "The tables show the first 100 classes." in picture.says
    assert max(map(len, picture.drawings["wide"])) < 100_000


def test_a_tree_in_parts_shows_every_line_once_and_keeps_options_with_their_decision() -> None:
    decisions = tuple(gate(f"gate{n}.") for n in range(40))
    findings = dataclasses.replace(examples.small(), decisions=decisions)
    for drawing in pictures(findings, tree)["tree"].drawings.values():
        assert len(drawing) > 1
        drawn = texts(drawing)
        assert all(drawn.count(f">gate{n}.<") == 1 for n in range(40))
        for part in drawing:
            assert part.count(">off<") == part.count(">on<") == part.count(">gate")
