"""The ONNX side of the markers: domain, operators, and what they mean.

Free of torch, so that a marked file can be compiled where only ONNX is installed. The torch
side of the same markers is ``dyncompile.markers``.
"""

from __future__ import annotations

__all__ = [
    "ALIASES",
    "DECISION",
    "DOMAIN",
    "ELSE",
    "FOLDED",
    "PINNED",
    "THEN",
    "TURNED",
    "VERSION",
    "Selector",
    "attach_functions",
    "detach_functions",
    "option_count",
    "register_schema",
    "switch_op_type",
]

from dataclasses import dataclass

import onnx
import onnx_ir as ir

DOMAIN = "dyncompile"
VERSION = 1

# Notes in the metadata of a graph.
DECISION = "dyncompile.decision"  # a value: the decision it holds; an If: the one it tests
ALIASES = "dyncompile.aliases"  # a decision: other names, and whether they mean the opposite
FOLDED = "dyncompile.folded"  # a decision: the same of selectors that passes made superfluous
PINNED = "dyncompile.pinned"  # a node: it stays where it stands, and there is one of it
TURNED = "dyncompile.turned"  # a gate: its name stands for the opposite of its decision
THEN = "dyncompile.then"  # an If: the options that lead to its branches
ELSE = "dyncompile.else"

_OPSET = 21
_TYPES = [
    f"tensor({name})"
    for name in (
        "bool",
        "int8",
        "uint8",
        "int32",
        "int64",
        "float16",
        "bfloat16",
        "float",
        "double",
    )
]

# A decision is rank 0 or one value per sample; it is aligned with the first axis of the sides.
_ALIGN = """
    own = Shape ({decision})
    own_rank = Size (own)
    side_shape = Shape ({side})
    side_rank = Size (side_shape)
    missing = Sub (side_rank, own_rank)
    flat = Constant <value = int64[1] {{-1}}> ()
    missing_flat = Reshape (missing, flat)
    ones = ConstantOfShape <value = int64[1] {{1}}> (missing_flat)
    target = Concat <axis = 0> (own, ones)
    aligned = Reshape ({decision}, target)
"""


@dataclass(frozen=True)
class Selector:
    """A marker node seen as a choice between options; a gate has the options off and on.

    Attributes:
        node: The ``Gate`` or ``Switch<n>`` node.
        decision: bool (gate) or int64 (switch), shape [] or [N].
        options: One value per option, all of one shape and type: for a gate ``(off, on)``.
    """

    node: ir.Node
    decision: ir.Value
    options: tuple[ir.Value, ...]

    @classmethod
    def from_node(cls, node: ir.Node) -> Selector | None:
        """Read a marker node; None for every other node."""
        if node.domain != DOMAIN:
            return None
        inputs = [value for value in node.inputs if value is not None]
        if node.op_type == "Gate":
            take, on, off = inputs
            return cls(node, take, (off, on))
        if node.op_type.startswith("Switch"):
            return cls(node, inputs[0], tuple(inputs[1:]))
        return None

    def option(self, number: int) -> ir.Value:
        """Return what is chosen by a decision of that number; the last option goes on."""
        return self.options[min(number, len(self.options) - 1)]

    def numbers_of_input(self, index: int, count: int) -> range:
        """Return the decisions, out of ``count``, by which an input of the node is needed."""
        if index == 0:
            return range(count)
        number = 2 - index if self.node.op_type == "Gate" else index - 1
        is_last = number == len(self.options) - 1
        return range(number, count if is_last else number + 1)

    @property
    def name(self) -> str:
        """The name of the decision, stable from the model to the artifact."""
        return self.node.attributes["name"].as_string()

    @property
    def output(self) -> ir.Value:
        """The value chosen."""
        return self.node.outputs[0]


def option_count(decision: ir.Value) -> int:
    """Return how many options a decision has: those of its largest selector, in any graph."""
    selectors = (Selector.from_node(node) for node, index in decision.uses() if index == 0)
    return max(len(selector.options) for selector in selectors if selector is not None)


def switch_op_type(count: int) -> str:
    """Return the operator of a switch with that many options (ONNX functions have fixed arity)."""
    return f"Switch{count}"


def attach_functions(model: ir.Model) -> None:
    """Give every marker the model uses its meaning, so that any ONNX runtime can run it."""
    used = {node.op_type for node in model.graph.all_nodes() if node.domain == DOMAIN}
    for op_type in sorted(used):
        function = ir.from_proto(onnx.parser.parse_function(_function_text(op_type)))
        assert isinstance(function, ir.Function)
        model.functions[function.identifier()] = function
    if used:
        model.opset_imports[DOMAIN] = VERSION


def detach_functions(model: ir.Model) -> None:
    """Remove what ``attach_functions`` added, so that no inliner dissolves a marker."""
    for identifier in [key for key in model.functions if key[0] == DOMAIN]:
        del model.functions[identifier]


def register_schema(op_type: str) -> None:
    """Tell onnx about a marker, once, so that exporters can call it."""
    if not onnx.defs.has(op_type, DOMAIN):
        onnx.defs.register_schema(_schema(op_type, _inputs(op_type)))


def _inputs(op_type: str) -> list[str]:
    if op_type == "Gate":
        return ["take", "on", "off"]
    count = int(op_type.removeprefix("Switch"))
    return ["index", *(f"option{i}" for i in range(count))]


def _schema(op_type: str, inputs: list[str]) -> onnx.defs.OpSchema:
    schema = onnx.defs.OpSchema
    return schema(
        op_type,
        DOMAIN,
        VERSION,
        inputs=[schema.FormalParameter(inputs[0], "D")]
        + [schema.FormalParameter(name, "T") for name in inputs[1:]],
        outputs=[schema.FormalParameter("y", "T")],
        type_constraints=[
            ("D", ["tensor(bool)" if op_type == "Gate" else "tensor(int64)"], "decision"),
            ("T", _TYPES, "what is chosen"),
        ],
        attributes=[schema.Attribute("name", schema.AttrType.STRING, "decision", required=False)],
    )


def _function_text(op_type: str) -> str:
    inputs = _inputs(op_type)
    if op_type == "Gate":
        body = _ALIGN.format(decision="take", side="on") + "    y = Where (aligned, on, off)\n"
    else:
        count = len(inputs) - 1
        lines = [_ALIGN.format(decision="index", side="option0")]
        chosen = f"option{count - 1}"
        for i in reversed(range(count - 1)):
            out = f"chosen{i}" if i else "y"
            lines.append(f"    bound{i} = Constant <value = int64 {{{i}}}> ()\n")
            lines.append(f"    upto{i} = LessOrEqual (aligned, bound{i})\n")
            lines.append(f"    {out} = Where (upto{i}, option{i}, {chosen})\n")
            chosen = out
        if count == 1:
            lines.append("    y = Identity (option0)\n")
        body = "".join(lines)
    return (
        f'<domain: "{DOMAIN}", opset_import: ["" : {_OPSET}]>\n'
        f"{op_type} <name> ({', '.join(inputs)}) => (y) {{\n{body}}}"
    )
