"""The ONNX side of the markers: domain, operators, and what they mean.

Free of torch, so that a marked file can be compiled where only ONNX is installed. The torch
side of the same markers is ``dyncompile.markers``.
"""

from __future__ import annotations

__all__ = [
    "ABSENT",
    "ALIASES",
    "BUDGETS",
    "CUTS",
    "DECISION",
    "DOMAIN",
    "ELSE",
    "FOLDED",
    "LEVEL_MACS",
    "PINNED",
    "REPORT",
    "THEN",
    "TURNED",
    "UNDER",
    "VERSION",
    "Budget",
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
ALIASES = "dyncompile.aliases"  # a decision: other names, and their option for each of its
BUDGETS = "dyncompile.budgets"  # a model: its channel budgets, as the manifest will list them
CUTS = "dyncompile.cuts"  # a node: as a marker does, it reads the decision that it has first
FOLDED = "dyncompile.folded"  # a decision: the same of selectors that passes made superfluous
LEVEL_MACS = "dyncompile.level_macs"  # a node of run-time shapes: a decision, the MACs by option
PINNED = "dyncompile.pinned"  # a node: it stays where it stands, and there is one of it
REPORT = "dyncompile.report"  # a node: it is there to report the decision that it names
TURNED = "dyncompile.turned"  # a gate: its name stands for the opposite of its decision
THEN = "dyncompile.then"  # an If: the options that lead to its branches
ELSE = "dyncompile.else"
ABSENT = "dyncompile.absent"  # a node: it stands for a value that is not needed where it is
UNDER = "dyncompile.under"  # an If: the other decisions that its condition includes

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


# The first ``counts[level]`` entries along an axis stay; level is rank 0 or one value per sample.
_BUDGET = """
    zero = Constant <value = int64 {{0}}> ()
    one = Constant <value = int64 {{1}}> ()
    flat = Constant <value = int64[1] {{-1}}> ()
    table = Constant <value_ints : ints = @counts> ()
    along = Constant <value_int : int = @axis> ()
    levels = Size (table)
    last = Sub (levels, one)
    bounded = Clip (level, zero, last)
    list = Reshape (bounded, flat)
    limits = Gather (table, list)
    column = Unsqueeze (limits, one)
    sizes = Shape (x)
    channels = Gather (sizes, along)
    numbers = Range (zero, channels, one)
    alive = Less (numbers, column)
    samples = Shape (list)
    inner = Sub (along, one)
    inner_flat = Reshape (inner, flat)
    inner_ones = ConstantOfShape <value = int64[1] {{1}}> (inner_flat)
    channels_flat = Reshape (channels, flat)
    rank = Size (sizes)
    last_axis = Sub (rank, one)
    outer = Sub (last_axis, along)
    outer_flat = Reshape (outer, flat)
    outer_ones = ConstantOfShape <value = int64[1] {{1}}> (outer_flat)
    target = Concat <axis = 0> (samples, inner_ones, channels_flat, outer_ones)
    aligned = Reshape (alive, target)
    nothing = CastLike (zero, x)
    y = Where (aligned, x, nothing)
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


@dataclass(frozen=True)
class Budget:
    """A ``ChannelBudget`` node: which channels of a value live at each level.

    Attributes:
        node: The node.
        x: What is budgeted.
        decision: The level, int64, shape [] or [N].
        counts: Channels kept at each level, from the first on.
        axis: The axis of the channels, at least 1.
    """

    node: ir.Node
    x: ir.Value
    decision: ir.Value
    counts: tuple[int, ...]
    axis: int

    @classmethod
    def from_node(cls, node: ir.Node) -> Budget | None:
        """Read a marker node; None for every other node."""
        if node.domain != DOMAIN or node.op_type != "ChannelBudget":
            return None
        x, level = node.inputs
        assert x is not None
        assert level is not None
        counts = tuple(node.attributes["counts"].as_ints())
        return cls(node, x, level, counts, node.attributes["axis"].as_int())

    @property
    def name(self) -> str:
        """The name of the decision on the level."""
        return self.node.attributes["name"].as_string()

    @property
    def output(self) -> ir.Value:
        """The value with its dead channels at zero."""
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
    if op_type == "ChannelBudget":
        return ["x", "level"]
    if op_type == "Gate":
        return ["take", "on", "off"]
    count = int(op_type.removeprefix("Switch"))
    return ["index", *(f"option{i}" for i in range(count))]


def _schema(op_type: str, inputs: list[str]) -> onnx.defs.OpSchema:
    schema = onnx.defs.OpSchema
    decision = "level" if op_type == "ChannelBudget" else inputs[0]
    attributes = [schema.Attribute("name", schema.AttrType.STRING, "decision", required=False)]
    if op_type == "ChannelBudget":
        attributes += [
            schema.Attribute("counts", schema.AttrType.INTS, "channels kept at each level"),
            schema.Attribute("axis", schema.AttrType.INT, "axis of the channels"),
        ]
    return schema(
        op_type,
        DOMAIN,
        VERSION,
        inputs=[schema.FormalParameter(name, "D" if name == decision else "T") for name in inputs],
        outputs=[schema.FormalParameter("y", "T")],
        type_constraints=[
            ("D", ["tensor(bool)" if op_type == "Gate" else "tensor(int64)"], "decision"),
            ("T", _TYPES, "what is chosen"),
        ],
        attributes=attributes,
    )


def _function_text(op_type: str) -> str:
    inputs = _inputs(op_type)
    attributes = "name"
    if op_type == "ChannelBudget":
        attributes = "name, counts, axis"
        body = _BUDGET.format()
    elif op_type == "Gate":
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
        f"{op_type} <{attributes}> ({', '.join(inputs)}) => (y) {{\n{body}}}"
    )
