from __future__ import annotations

from dyncompile.engines.laziness import lazy_nodes
from dyncompile.engines.request import LazyNode
from tests.engines.graphs import GATE, PLAIN, SWITCH, network


def test_work_outside_of_branches_is_not_lazy() -> None:
    assert lazy_nodes(network(PLAIN)) == ()


def test_what_multiplies_in_a_branch_is_lazy() -> None:
    assert lazy_nodes(network(GATE)) == (LazyNode("conv_a", ("if_y",)),)


def test_a_nested_node_names_all_its_ifs() -> None:
    assert lazy_nodes(network(SWITCH)) == (
        LazyNode("conv_a", ("if_y",)),
        LazyNode("conv_k", ("if_y",)),
        LazyNode("conv_c", ("if_y", "if_b")),
        LazyNode("conv_d0", ("if_y", "if_b")),
    )


LOOP = """Loop (n, go, h) <body = {name} (int64 i{name}, bool g{name}, float[2, 2] s{name})
      => (bool h{name}, float[2, 2] r{name}) {{ h{name} = Identity(g{name}) {body} }}>"""


def test_a_loop_in_a_branch_is_told_from_a_branch_in_a_loop() -> None:
    inner = LOOP.format(name="l", body="rl = MatMul(sl, sl)")
    around = "rm = If (take) <then_branch = t () => (float[2, 2] p) { p = MatMul(sm, sm) },"
    around += "else_branch = e () => (float[2, 2] q) { q = Identity(sm) }>"
    outer = LOOP.format(name="m", body=around)
    model = network(
        f"""g (float[2, 2] h, int64 n, bool go, bool take) => (float[2, 2] y, float[2, 2] z) {{
          y = If (take) <
            then_branch = on () => (float[2, 2] a) {{ a = {inner} }},
            else_branch = off () => (float[2, 2] b) {{ b = Identity(h) }}>
          z = {outer}
        }}"""
    )
    assert lazy_nodes(model) == (
        LazyNode("matmul_rl", ("if_y",), in_inner_loop=True),
        LazyNode("matmul_p", ("if_rm",)),
    )
