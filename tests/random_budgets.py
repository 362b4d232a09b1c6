"""Random budgeted networks: families of layers, gates and exits, mixed freely."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import strategies as st

from tests.budgeted import ops
from tests.budgeted.network import BATCH, LEVEL, OPEN, WIDTH, Network, X
from tests.budgeted.ops import Op, Shape, channels

CLASSES = 3

# Of levels: one knob, two whose regions have layers between them or not, one that data choose.
KNOBS = ("one", "one", "disjoint", "mixed", "data")


def networks(*, most: int = 9, plain: bool = False) -> st.SearchStrategy[Network]:
    """Draw networks as ``random_network`` makes them."""

    def made(rng: random.Random) -> Network:
        return random_network(rng, most=most, plain=plain)

    return st.randoms(use_true_random=False).map(made)


def random_network(rng: random.Random, *, most: int = 9, plain: bool = False) -> Network:
    """Make a network of budgets, with gates and exits around and inside of them.

    Args:
        rng: What is drawn from; nothing else is random.
        most: How many layers with weights there are, about.
        plain: Whether there is one level and no other decision, and nothing stops a budget.
    """
    batch: int | str = 1 if rng.random() < 0.66 else BATCH
    sketch = _Sketch(
        rng,
        rng.choice([(4, 4, 4), (6, 4, 4), (3, 2, 2), (6,)]),
        layers_left=most,
        per_sample=batch == 1 and rng.random() < 0.5,
        batch=batch,
        plain=plain,
        revives=not plain and rng.random() < 0.2,
        knobs="one" if plain else rng.choice(KNOBS),
        levels=(rng.randint(2, 4), rng.randint(2, 3)),
    )
    last = sketch.whole(X)
    others = [rng.choice(sketch.tensors) for _ in range(rng.randint(0, 2))]
    return Network(
        shape=sketch.shape,
        batch=batch,
        per_sample=sketch.per_sample,
        levels=sketch.levels,
        ops=tuple(sketch.ops),
        outputs=tuple(number for number in dict.fromkeys([last, *others]) if number != X),
        seed=rng.randint(0, 9),
    )


@dataclass
class _Sketch:
    rng: random.Random
    shape: Shape
    layers_left: int
    per_sample: bool
    batch: int | str
    plain: bool
    revives: bool  # whether the dead may come back to life before the next layer, by a bias
    knobs: str
    levels: tuple[int, int]
    ops: list[Op] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    tensors: list[int] = field(default_factory=lambda: [X])
    decisions: dict[int, tuple[str, bool]] = field(default_factory=dict)
    sources: list[tuple[int, int, str]] = field(default_factory=list)
    cut: set[int] = field(default_factory=set)
    later: bool = False

    def __post_init__(self) -> None:
        self.shapes = [self.shape, (), (), ()]
        self.decisions = {OPEN: ("open", self.per_sample)}
        self.sources = [(LEVEL, self.levels[0], "level")]
        if self.knobs != "one":
            self.sources.append((WIDTH, self.levels[1], "width"))

    # how it goes together

    def whole(self, x: int) -> int:
        """Append a body and a head, or two of each with an exit; return the last value."""
        x = self.region(x, self.rng.randint(1, 4), depth=2)
        if self.knobs == "disjoint":
            x = self.dense(x, self.width())
            self.later = True
            x = self.dense(x, self.width())
            x = self.region(x, self.rng.randint(1, 3), depth=1)
        if not self.plain and self.chance(25):
            early = self.head(x)
            decision = self.score(early) if self.chance(50) else self.decision(x)
            rest = self.head(self.budget(self.region(x, self.rng.randint(1, 2), depth=1)))
            return self.gate(decision, early, rest)
        if not any(isinstance(op, ops.Budget) for op in self.ops):
            x = self.budget(x)
        return self.head(x)

    def region(self, x: int, length: int, depth: int) -> int:
        for _ in range(length):
            x = self.element(x, depth)
        return x

    def element(self, x: int, depth: int) -> int:
        """Append one element; return its result, whose shape may be another."""
        if self.layers_left <= 0:
            return self.activation(x)
        general: list[Callable[[int], int]] = [
            *[self.chain] * 3,
            *[self.residual] * 3,
            self.dense_block,
            self.level_norm,
            self.activation,
            self.beside,
            self.tapped,
            self.product,
            self.budgeted,
        ]
        kinds = [*general]
        rank = len(self.shapes[x])
        if rank == 3:
            kinds += [self.separable, self.separable, self.grouped, self.squeeze, self.squeeze]
            kinds += [self.size, self.padded, self.preactivated, self.preactivated]
        if self.plain:
            return kinds[self.rng.randint(0, len(kinds) - 1)](x)
        kinds += [self.split, self.barrier]
        if rank == 2:
            kinds += [self.attention] * 2
        if depth > 0:
            kinds += [lambda y: self.gated(y, depth - 1)] * 3
            kinds += [lambda y: self.switched(y, depth - 1)]
        if self.knobs == "data" and len(self.sources) < 3:
            kinds += [self.new_level] * 2
        return kinds[self.rng.randint(0, len(kinds) - 1)](x)

    def head(self, x: int) -> int:
        """Append what ends in a vector of classes."""
        shape = self.shapes[x]
        if len(shape) == 3 and self.chance(25):
            x = self.tokens(x)
        elif len(shape) == 3:
            flat = shape[1] <= 4 and self.chance(50)
            kind = self.rng.choice(["mean", "mean", "max"])
            x = self.add(ops.Flatten((x,))) if flat else self.add(ops.GlobalPool((x,), kind))
        if len(self.shapes[x]) == 2:
            x = self.add(ops.GlobalPool((x,), "mean"))
        if self.chance(40):
            x = self.layer(x, self.width())
        return self.dense(x, CLASSES)

    def tokens(self, x: int) -> int:
        x = self.add(ops.Tokens((x,)))
        return self.region(x, self.rng.randint(1, 2), depth=0)

    # elements; those that take a map, tokens or a vector first

    def layer(self, x: int, out: int) -> int:
        """Conv or linear, norm, activation, budget; each of the last three or not."""
        x = self.dense(x, out)
        x = self.normed(x) if self.chance(50) else x
        x = self.rectified(x) if self.chance(70) else x
        return self.maybe_budget(x)

    def chain(self, x: int) -> int:
        return self.layer(x, self.width())

    def residual(self, x: int) -> int:
        count = channels(self.shapes[x])
        out = self.width() if self.chance(40) else count
        stride = 2 if len(self.shapes[x]) == 3 and self.shapes[x][1] > 1 and self.chance(20) else 1
        f = self.maybe_budget(self.rectified(self.normed(self.dense(x, self.width(), stride))))
        f = self.dense(f, out)
        f = self.normed(f) if self.chance(50) else f
        f = self.maybe_budget(f, 40)
        y = self.add(ops.Binary(self.shuffled(self.shortcut(x, out, stride), f), "Add"))
        y = self.rectified(y) if self.chance(60) else y
        return self.maybe_budget(y)

    def shortcut(self, x: int, out: int, stride: int) -> int:
        count = channels(self.shapes[x])
        if count < out and len(self.shapes[x]) == 3 and not self.plain and self.chance(50):
            before = self.rng.randint(0, out - count)
            x = self.add(ops.Pool((x,), "max")) if stride == 2 else x
            return self.add(ops.Pad((x,), 0, before, out - count - before))
        if count != out or stride == 2 or self.chance(15):
            x = self.dense(x, out, stride, kernel=1)
            return self.maybe_budget(x, 40)
        return x

    def preactivated(self, x: int) -> int:
        f = self.maybe_budget(self.rectified(self.normed(x)))
        f = self.layer(f, self.width())
        f = self.dense(f, channels(self.shapes[x]))
        return self.add(ops.Binary(self.shuffled(x, f), "Add"))

    def dense_block(self, x: int) -> int:
        for _ in range(self.rng.randint(1, 2)):
            f = self.layer(x, self.rng.randint(1, 3))
            if channels(self.shapes[x]) > 12:
                return x
            x = self.add(ops.Concat(self.shuffled(x, f)))
        return self.maybe_budget(x, 40)

    def level_norm(self, x: int) -> int:
        if len(self.shapes[x]) == 2:
            return self.chain(x)
        if not self.may_revive(x):
            x = self.dense(x, self.width())
        source, count, name = self.source()
        return self.maybe_budget(self.add(ops.LevelNorm((source, x), count, name)), 80)

    def activation(self, x: int) -> int:
        if self.chance(20) and len(self.shapes[x]) != 2:
            return self.add(ops.Prelu((x,)))
        if self.chance(15) and self.may_revive(x):
            return self.maybe_budget(self.add(ops.Unary((x,), "Sigmoid")), 80)
        return self.add(ops.Unary((x,), self.rng.choice(ops.ZERO_KEEPING)))

    def beside(self, x: int) -> int:
        """Concat with what has no budget of its own, or another."""
        fitting = [k for k in self.tensors if self.fits(k, x)]
        other = self.rng.choice(fitting)
        if self.chance(30):
            other = self.dense(other, self.rng.randint(1, 4))
        if channels(self.shapes[x]) + channels(self.shapes[other]) > 16:
            return x
        return self.maybe_budget(self.add(ops.Concat(self.shuffled(x, other))), 30)

    def split(self, x: int) -> int:
        count = channels(self.shapes[x])
        if count < 2:
            return self.chain(x)
        at = count // 2 if self.chance(60) else self.rng.randint(1, count - 1)
        if self.chance(30):
            return self.add(ops.Slice((x,), *sorted((at, self.rng.choice([0, count])))))
        first, second = self.several(ops.Split((x,), (at, count - at)))
        if self.chance(60):
            first = self.layer(first, channels(self.shapes[first]))
        if at == count - at and self.chance(40):
            op_type = self.rng.choice(["Add", "Mul"])
            return self.add(ops.Binary((first, second), op_type))
        return self.add(ops.Concat(self.shuffled(first, second)))

    def barrier(self, x: int) -> int:
        shape = self.shapes[x]
        even = channels(shape) % 2 == 0
        kinds: list[Op] = [ops.Softmax((x,)), ops.Sort((x,)), ops.Flip((x,))]
        kinds += [ops.AcrossChannels((x,), kind) for kind in ("sum", "max")]
        if len(shape) < 3:
            kinds.append(ops.AffineNorm((x,)))
        elif even:
            kinds += [ops.Shuffle((x,)), ops.AffineNorm((x,))]
        y = self.add(self.rng.choice(kinds))
        if channels(self.shapes[y]) != channels(shape):
            return self.add(ops.Binary(self.shuffled(x, y), self.rng.choice(["Add", "Mul"])))
        return self.maybe_budget(y, 30)

    def tapped(self, x: int) -> int:
        """Read an earlier value of the same shape once more."""
        same = [k for k in self.tensors if self.shapes[k] == self.shapes[x]]
        other = self.rng.choice(same)
        if self.chance(30):
            other = self.budget(other)
        op_type = self.rng.choice(["Add", "Sub"])
        return self.maybe_budget(self.add(ops.Binary(self.shuffled(x, other), op_type)), 30)

    def product(self, x: int) -> int:
        if self.chance(50) or (x in self.cut and not self.revives):
            return self.add(ops.PerChannel((x,), "Mul"))
        if self.chance(50):
            return self.maybe_budget(self.add(ops.PerChannel((x,), "Add")), 60)
        same = [k for k in self.tensors if self.shapes[k] == self.shapes[x]]
        gate = self.add(ops.Unary((self.rng.choice(same),), "Tanh"))
        return self.add(ops.Binary(self.shuffled(x, gate), "Mul"))

    def budgeted(self, x: int) -> int:
        return self.budget(x)

    # of maps

    def separable(self, x: int) -> int:
        count = self.shapes[x][0]
        bias = self.chance(50) and self.may_revive(x)
        stride = 2 if self.shapes[x][1] > 1 and self.chance(15) else 1
        wide = count * 2 if count <= 4 and self.chance(15) else count
        y = self.add(ops.Conv((x,), wide, 3, stride, count, bias))
        if self.chance(50) and self.may_revive(y):
            y = self.normed(y)
        y = self.rectified(y) if self.chance(50) else y
        y = self.maybe_budget(y)
        self.layers_left -= 1
        if self.chance(70):
            y = self.add(ops.Conv((y,), self.width(), 1, 1, 1, self.chance(50)))
            y = self.maybe_budget(y)
        return y

    def grouped(self, x: int) -> int:
        count = self.shapes[x][0]
        groups = self.rng.choice([g for g in (1, 2, 3, 4) if count % g == 0])
        out = groups * self.rng.randint(1, max(1, 8 // groups))
        self.layers_left -= 1
        bias = self.chance(50) and self.may_revive(x)
        kernel = self.rng.choice([1, 3])
        y = self.add(ops.Conv((x,), out, kernel, 1, groups, bias))
        return self.maybe_budget(self.rectified(y))

    def squeeze(self, x: int) -> int:
        s = self.add(ops.GlobalPool((x,), "mean", kept=True))
        s = self.add(ops.Conv((s,), self.rng.randint(1, 4), 1))
        s = self.maybe_budget(self.rectified(s), 30)
        s = self.add(ops.Conv((s,), self.shapes[x][0], 1))
        s = self.add(ops.Unary((s,), "Sigmoid"))
        return self.add(ops.Binary(self.shuffled(x, s), "Mul"))

    def size(self, x: int) -> int:
        """Another height and width, or the same by an overlapping pool."""
        height = self.shapes[x][1]
        kinds = ["wide"]
        kinds += ["max", "avg"] if height > 1 else []
        kinds += ["resize", "transpose"] if height <= 2 else []
        kind = self.rng.choice(kinds)
        if kind == "resize":
            return self.add(ops.Resize((x,)))
        if kind == "transpose":
            self.layers_left -= 1
            groups = (
                2 if self.shapes[x][0] % 2 == 0 and self.may_revive(x) and self.chance(30) else 1
            )
            y = self.add(ops.ConvTranspose((x,), 2 * self.rng.randint(1, 4), groups))
            return self.maybe_budget(y)
        return self.add(ops.Pool((x,), kind))

    def padded(self, x: int) -> int:
        around = self.add(ops.Pad((x,), 1))
        self.layers_left -= 1
        return self.maybe_budget(self.add(ops.Conv((around,), self.width(), 3, padded=False)))

    # of tokens

    def attention(self, x: int) -> int:
        count = channels(self.shapes[x])
        inner = self.rng.randint(2, 6)
        q, k, v = (self.maybe_budget(self.dense(x, n)) for n in (inner, inner, self.width()))
        y = self.dense(self.add(ops.Attend((q, k, v))), count)
        return self.add(ops.Binary(self.shuffled(x, y), "Add"))

    # decisions

    def gated(self, x: int, depth: int) -> int:
        decision = self.decision(x)
        f = self.region(x, self.rng.randint(1, 2), depth)
        if self.shapes[f] != self.shapes[x]:
            f = self.same_shape(f, x)
        if f == x:
            return x
        form = self.rng.choice(["skip", "skip", "zero", "sides"])
        if form == "zero":
            y = self.gate(decision, f, None)
            return self.add(ops.Binary(self.shuffled(x, y), "Add"))
        off = x
        if form == "sides":
            off = self.same_shape(self.layer(x, channels(self.shapes[x])), x)
        return self.maybe_budget(self.gate(decision, f, off), 40)

    def switched(self, x: int, depth: int) -> int:
        source, count, name = self.source()
        del depth
        options = [self.dense(x, channels(self.shapes[x])) for _ in range(count - 1)]
        y = self.add(ops.Switch((source, *options, x), name))
        return self.maybe_budget(y)

    def same_shape(self, f: int, x: int) -> int:
        """Bring a value to the shape of another, where layers can; else take that one."""
        wanted, have = self.shapes[x], self.shapes[f]
        if len(wanted) != len(have) or (wanted[1:] != have[1:] and len(wanted) == 3):
            return self.layer(x, channels(wanted))
        return f if wanted == have else self.layer(f, channels(wanted))

    def decision(self, x: int) -> int:
        kind = self.rng.choice(["known", "known", "score", "not"])
        if kind == "score":
            return self.score(self.rng.choice([x, *self.tensors]))
        known = self.rng.choice(sorted(self.decisions))
        if kind == "not":
            _, per_sample = self.decisions[known]
            return self.decide(ops.Not((known,), per_sample), per_sample)
        return known

    def score(self, x: int) -> int:
        per_sample = self.batch == 1 and self.chance(50)
        bound = self.rng.randint(-3, 3)
        return self.decide(ops.Score((x,), per_sample, bound), per_sample)

    def decide(self, op: Op, per_sample: bool) -> int:
        (number,) = self._append(op)
        self.decisions[number] = f"d{number}", per_sample
        return number

    def gate(self, decision: int, on: int, off: int | None) -> int:
        name, _ = self.decisions[decision]
        inputs = (decision, on) if off is None else (decision, on, off)
        return self.add(ops.Gate(inputs, name))

    def new_level(self, x: int) -> int:
        levels = self.rng.randint(2, 3)
        number = self._append(ops.Index((x,), self.batch == 1 and self.chance(50), levels))[0]
        self.sources.append((number, levels, f"d{number}"))
        return self.budget(x)

    # budgets

    def source(self) -> tuple[int, int, str]:
        if self.knobs == "disjoint":
            return self.sources[int(self.later)]
        return self.rng.choice(self.sources)

    def maybe_budget(self, x: int, percent: int = 65) -> int:
        return self.budget(x) if self.chance(percent) else x

    def budget(self, x: int) -> int:
        source, count, name = self.source()
        size = channels(self.shapes[x])
        if self.chance(75):  # as a ratio of the channels, the same everywhere
            counts = [max(1, (k + 1) * size // count) for k in range(count)]
        else:
            counts = sorted(self.rng.randint(1, size) for _ in range(count))
        y = self.add(ops.Budget((source, x), name, tuple(counts)))
        self.cut.add(y)
        return y

    def may_revive(self, x: int) -> bool:
        return self.revives or x not in self.cut

    # layers

    def dense(self, x: int, out: int, stride: int = 1, kernel: int = 0) -> int:
        self.layers_left -= 1
        if len(self.shapes[x]) < 3:
            return self.add(ops.Linear((x,), out, self.chance(70)))
        kernel = kernel or self.rng.choice([1, 3])
        return self.add(ops.Conv((x,), out, kernel, stride, 1, self.chance(50)))

    def normed(self, x: int) -> int:
        """Normalise; a value that has dead channels gets a budget at once, or a layer before."""
        if len(self.shapes[x]) == 2 or not self.may_revive(x):
            return x
        return self.add(ops.Norm((x,)))

    def rectified(self, x: int) -> int:
        return self.add(ops.Unary((x,), self.rng.choice(ops.RECTIFIERS)))

    def width(self) -> int:
        return self.rng.choice([2, 4, 4, 6, 8, 3, 5])

    # numbers

    def chance(self, percent: int) -> bool:
        return self.rng.random() * 100 < percent

    def shuffled(self, a: int, b: int) -> tuple[int, int]:
        return (a, b) if self.chance(50) else (b, a)

    def fits(self, a: int, x: int) -> bool:
        """Whether two values differ in channels only."""
        one, other = self.shapes[a], self.shapes[x]
        return len(one) == len(other) and ops.with_channels(one, 1) == ops.with_channels(other, 1)

    def add(self, op: Op) -> int:
        return self.several(op)[0]

    def several(self, op: Op) -> tuple[int, ...]:
        numbers = self._append(op)
        self.tensors.extend(numbers)
        return numbers

    def _append(self, op: Op) -> tuple[int, ...]:
        shapes = op.shapes(*(self.shapes[k] for k in op.inputs))
        first = len(self.shapes)
        self.ops.append(op)
        self.shapes.extend(shapes)
        numbers = tuple(range(first, first + len(shapes)))
        mixes = isinstance(op, (ops.Conv, ops.ConvTranspose, ops.Linear))
        if any(k in self.cut for k in op.inputs) and not (mixes and getattr(op, "groups", 1) == 1):
            self.cut.update(numbers)
        return numbers
