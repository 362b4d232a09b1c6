import onnx_ir as ir

from dyncompile import pipeline
from dyncompile.optimizing.path_sample import sample_paths
from dyncompile.paths import DecisionTree
from dyncompile.targets import ort
from tests.lowered import nested
from tests.support import parse

LIMIT = 6


def skips(count: int) -> ir.Model:
    """Return a lowered chain of blocks that are skipped one by one."""
    inputs = ", ".join(f"bool d{k}" for k in range(count))
    body = "\n".join(
        f'f{k} = Exp (x{k}) x{k + 1} = dyncompile.Gate <name = "d{k}"> (d{k}, f{k}, x{k})'
        for k in range(count)
    )
    graph = f"main (float[1,4] x0, {inputs}) => (float[1,4] x{count}) {{ {body} }}"
    model = parse(graph)
    for _ in pipeline.run(model, ort.passes()):
        pass
    return model


def test_few_paths_are_all_listed() -> None:
    paths, complete = sample_paths(DecisionTree.from_model(nested()), 64)
    assert complete
    assert len({tuple(sorted(path.items())) for path in paths}) == len(paths)


def test_of_many_every_option_is_in_the_sample() -> None:
    paths, complete = sample_paths(DecisionTree.from_model(skips(9)), LIMIT)
    assert (len(paths), complete) == (LIMIT, False)
    seen = {pair for path in paths for pair in path.items()}
    assert seen == {(f"d{k}", option) for k in range(9) for option in (0, 1)}


def test_nested_options_may_need_more_paths() -> None:
    paths, complete = sample_paths(DecisionTree.from_model(nested()), 2)
    seen = {pair for path in paths for pair in path.items()}
    assert not complete
    assert {("deep", 0), ("deep", 1), ("inner", 0), ("inner", 1)} <= seen


def test_it_is_the_same_on_every_call() -> None:
    tree = DecisionTree.from_model(skips(9))
    assert sample_paths(tree, LIMIT) == sample_paths(tree, LIMIT)
