from __future__ import annotations

import io
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from dyncompile import demo, markers
from dyncompile.errors import ArtifactError
from dyncompile.knobs import Threshold

NEVER = torch.full((2,), math.inf)
ALWAYS = torch.full((2,), -math.inf)
PATHS = [
    dict(zip(("skip1", "exit1"), options, strict=True)) for options in product((0, 1), (1,))
] + [
    dict(zip(("skip1", "exit1", "skip2", "exit2"), options, strict=True))
    for options in product((0, 1), (0,), (0, 1), (1,))
]
PATHS += [
    dict(zip(("skip1", "exit1", "skip2", "exit2", "skip3"), options, strict=True))
    for options in product((0, 1), (0,), (0, 1), (0,), (0, 1))
]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> demo.Digits:
    return demo.load_images(0)


@pytest.fixture(scope="module")
def model(digits: demo.Digits) -> demo.DigitsNet:
    return demo.train(digits.train.head(320), 0, epochs=3)


@pytest.fixture(scope="module")
def images(digits: demo.Digits) -> Tensor:
    return digits.test.images[:8]


def test_splits_are_disjoint_and_have_every_digit(digits: demo.Digits) -> None:
    splits = (digits.train, digits.validation, digits.test)
    assert [len(split) for split in splits] == [897, 400, 500]
    assert all(set(split.labels.tolist()) == set(range(10)) for split in splits)
    assert all(split.images.min() >= 0 and split.images.max() <= 1 for split in splits)
    seen = [image.numpy().tobytes() for split in splits for image in split.images]
    assert len(set(seen)) == len(seen) == 1797


def test_the_seed_settles_the_weights(digits: demo.Digits) -> None:
    def weights(seed: int) -> Tensor:
        model = demo.train(digits.train.head(64), seed, epochs=1)
        return torch.cat([value.flatten().float() for value in model.state_dict().values()])

    state = torch.random.get_rng_state()
    first = weights(3)
    assert torch.equal(first, weights(3))
    assert not torch.equal(first, weights(4))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_training_learns_the_weights_of_the_gates(digits: demo.Digits) -> None:
    first, later = (demo.train(digits.train.head(32), 0, epochs=epochs) for epochs in (1, 4))
    for before, after in zip(first.depth(), later.depth(), strict=True):
        for old, new in zip(
            before.skip.score.parameters(), after.skip.score.parameters(), strict=True
        ):
            assert not torch.equal(old, new)


def test_training_reports_its_progress(digits: demo.Digits) -> None:
    told: list[float] = []
    demo.train(digits.train.head(64), 0, epochs=1, report=told.append)
    assert told == [0.5, 1.0]


@torch.no_grad()
def test_exits_act_on_their_thresholds(model: demo.DigitsNet, images: Tensor) -> None:
    (first, second, last), _ = model.heads(images)
    assert torch.equal(model(images, ALWAYS), first)
    assert torch.equal(model(images, torch.tensor([math.inf, -math.inf])), second)
    assert torch.equal(model(images, NEVER), last)
    confident = demo.confidence(first)
    middle = confident.sort().values[3:5].mean()
    mixed = model(images, torch.stack([middle, torch.tensor(math.inf)]))
    assert torch.equal(mixed, torch.where((confident > middle)[:, None], first, last))


@torch.no_grad()
@pytest.mark.parametrize("name", demo.SKIPS)
def test_gates_act(model: demo.DigitsNet, images: Tensor, name: str) -> None:
    with markers.follow({name: 1}):
        run = model(images, NEVER)
    with markers.follow({name: 0}):
        skipped = model(images, NEVER)
    with markers.follow() as free:
        chosen = model(images, NEVER)
    assert not torch.allclose(run, skipped)
    takes = torch.from_numpy(free[name]).bool()[:, None]
    torch.testing.assert_close(chosen, torch.where(takes, run, skipped))


@torch.no_grad()
def test_gates_decide_per_sample(model: demo.DigitsNet, digits: demo.Digits) -> None:
    with markers.follow() as decisions:
        model(digits.test.images[:100], NEVER)
    shares = [decisions[name].mean() for name in demo.SKIPS]
    assert any(0 < share < 1 for share in shares)


@torch.no_grad()
@pytest.mark.parametrize("path", PATHS, ids=lambda path: "-".join(map(str, path.values())))
def test_static_path_equals_the_forced_path(
    model: demo.DigitsNet, images: Tensor, path: dict[str, int]
) -> None:
    with markers.follow(path):
        dynamic = model(images, NEVER)
    (static,) = demo.StaticPath(model, path)(images)
    with_scores, *scores = demo.StaticPath(model, path, scores=True)(images)
    assert torch.equal(static, dynamic)
    assert torch.equal(with_scores, dynamic)
    assert len(scores) == len(path)


class Rigged(demo.DigitsNet):
    """Gets each of ten images right, but image 9 wrong, and less sure, at the first exit."""

    def __init__(self, wrong: float) -> None:
        super().__init__()
        self.wrong = wrong

    def heads(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        right = torch.eye(10) * 50
        hasty = right.clone()
        hasty[9] = torch.tensor([self.wrong, *[(1 - self.wrong) / 9] * 9]).log()
        assert len(image) == 10
        return [hasty, right, right], []


@pytest.mark.parametrize(
    ("tolerance", "threshold"),
    [pytest.param(0.0, 0.64, id="nothing-lost"), pytest.param(0.1, 0.0, id="one-of-ten-lost")],
)
def test_threshold_is_the_lowest_that_keeps_the_accuracy(
    tolerance: float, threshold: float
) -> None:
    split = demo.Split(torch.zeros(10, 1, 20, 20), torch.arange(10))
    assert demo.choose_threshold(Rigged(0.635), split, tolerance=tolerance) == threshold


def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="cannot be made"):
        demo.run(tmp_path / "file" / "folder")


def test_tables_name_paths_settings_and_files() -> None:
    found = demo.Comparison(
        images=500,
        dense_accuracy=0.99,
        dense_milliseconds=0.5,
        stage_accuracy=(0.9, 0.98, 0.99),
        agreeing=500,
        points=(
            demo.OperatingPoint((0.4, 0.6), 0.985, (0.6, 0.3, 0.1), 0.2),
            demo.OperatingPoint((math.inf, math.inf), 0.99, (0.0, 0.0, 1.0), 0.45),
        ),
        paths=(
            demo.PathTiming(
                {"skip1": 1, "exit1": 0, "skip2": 0, "exit2": 1}, 0.3, 0.3, 0.2, 0.25
            ),
        ),
    )
    result = demo.DemoResult(Path("a.onnx"), Path("static"), 0.4, found, 60.0)
    text = io.StringIO()
    demo.show(result, Console(file=text, width=120))
    for part in (
        "0.40 0.60 (chosen)",
        "never never",
        "1 -",
        "exit 2",
        "1.50",
        "1.20",
        "a.onnx",
    ):
        assert part in text.getvalue()


def test_the_knob_is_one_threshold_per_exit() -> None:
    assert demo.DigitsNet().knobs == {"threshold": Threshold((0.8, 0.8), low=0, high=1)}
