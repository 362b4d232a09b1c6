from dyncompile.passes import OmitDefaults
from tests.support import assert_rewrites, assert_untouched

HEAD = "main (float[1,2,4,4] x, float[2,2,3,3] w) => (float[1,2,2,2] y)"


def test_attributes_that_say_the_default_go() -> None:
    assert_rewrites(
        OmitDefaults(),
        before=HEAD
        + """ {
            y = Conv <group = 1, dilations = [1, 1], strides = [1, 1], pads = [0, 0, 0, 0],
                      auto_pad = "NOTSET"> (x, w)
        }""",
        after=HEAD + " { y = Conv (x, w) }",
    )


def test_attributes_that_say_something_stay() -> None:
    assert_untouched(
        OmitDefaults(),
        """main (float[1,2,4,4] x, float[2,1,3,3] w) => (float[1,2,2,2] y)
        { y = Conv <group = 2, strides = [2, 2], pads = [1, 1, 1, 1]> (x, w) }""",
    )
