import numpy as np
import onnxruntime as ort

from dyncompile.knobs import Levels, Threshold
from dyncompile.passes import DefaultKnobs
from tests.support import parse, runnable_proto


def test_the_file_runs_without_its_knobs_and_with_them() -> None:
    model = parse(
        "main (float[2] x, float t, int64 level) => (float[2] y)"
        " { n = Cast <to = 1> (level) s = Add (t, n) y = Mul (x, s) }"
    )
    knobs = (("t", Threshold(0.5)), ("level", Levels((10, 20, 30), 2)))
    assert DefaultKnobs(knobs)(model).modified
    assert not DefaultKnobs(knobs)(model).modified
    session = ort.InferenceSession(
        runnable_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = np.ones(2, np.float32)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], 2.5 * x)
    level = np.asarray(0, np.int64)
    np.testing.assert_array_equal(session.run(None, {"x": x, "level": level})[0], 0.5 * x)
