"""The fused kernel of screening: product in 8-bit numbers, maximum over tokens and comparison, all in registers.

It never writes the tokens × terms matrix. LLVM, which comes with numba, compiles it for AVX2 when a model is loaded.
That takes about a tenth of a second, and no compiler on the machine. A call releases the interpreter lock.

`vpmaddubsw` multiplies unsigned with signed bytes and adds neighbouring products in 16 bits. A rounded hidden state a
with |a| <= 63 is therefore stored as a + 64. No instruction saturates: two products are at most 2 · 127 · 127 = 32,258.
Further sums are taken modulo 2¹⁶. They begin at -64 Σ q, which cancels the offset, so the end is a·q modulo 2¹⁶.
That is exact if the true sum fits into 16 bits, whatever happened on the way. Each group of four numbers has two such
sums, of its first and of its last two numbers, so the caller must keep |a·q| below 2¹⁵ for both halves of the columns.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# Rows of hidden states and vectors of eight terms that are multiplied at once: as many sums as stay in 16 registers.
ROWS, VECTORS = 4, 2
LANES = 8
# Terms of a tile of the packed weights. The number of terms is a multiple of it.
TILE_TERMS = LANES * VECTORS
# Columns of a step of the innermost loop: four in each of two 32-bit groups. The width is a multiple of it.
STEP_COLUMNS = 8
OFFSET = 64
LARGEST_SUM = 2**15 - 1

Bytes = NDArray[np.uint8]


class PackedTerms:
    """Rounded weights of terms, and coefficients of their thresholds, in the order in which the kernel reads them."""

    def __init__(self, rounded: NDArray[np.int8]) -> None:
        """Pack weights.

        - rounded: (terms, width); multiples of TILE_TERMS and STEP_COLUMNS.
        """
        terms, width = rounded.shape
        self.tiles = terms // TILE_TERMS
        grouped = rounded.reshape(self.tiles, VECTORS, LANES, width // 4, 4)
        self.weights = np.ascontiguousarray(grouped.transpose(0, 3, 1, 2, 4))
        halves = rounded.reshape(self.tiles, VECTORS, LANES, width // 4, 2, 2).sum(axis=(3, 5), dtype=np.int64)
        self.starts = (-OFFSET * halves).astype(np.int16)  # modulo 2¹⁶

    def coefficients(self, *of_terms: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return coefficients of every term in the order of the kernel: (tiles, vectors, coefficients, lanes)."""
        stacked = np.stack([of_term.reshape(self.tiles, VECTORS, LANES) for of_term in of_terms], axis=2)
        return np.ascontiguousarray(stacked, dtype=np.float32)


def screen(
    kernel: Any, rows: Bytes, blocks: NDArray[np.int64], factors: NDArray[np.float32], packed: PackedTerms,
    coefficients: NDArray[np.float32],
) -> NDArray[np.bool_]:  # fmt: skip
    """Return for every text and term whether max over rows of a·q > Σ factor × coefficient: bool (texts, terms).

    A comparison with a number that is NaN holds.

    - kernel: see `compiled`, for the width of the rows.
    - rows: uint8 (rows, width), a + OFFSET; text after text, each a multiple of ROWS.
    - blocks: the number of rows of each text / ROWS, at least 1.
    - factors: float32 (texts, 3).
    - coefficients: see `PackedTerms.coefficients`, of 3.
    """
    out = np.empty((len(blocks), packed.tiles * VECTORS), dtype=np.uint8)
    arrays = (rows, blocks, factors, packed.weights, packed.starts, coefficients, out)
    assert all(array.flags.c_contiguous for array in arrays)
    assert rows.shape == (ROWS * blocks.sum(), packed.weights.shape[1] * 4)
    if len(blocks):
        kernel(*(array.ctypes.data for array in arrays), len(blocks), packed.tiles)
    return np.unpackbits(out, axis=1, bitorder="little").view(np.bool_)


@cache
def compiled(width: int) -> Any | None:
    """Return the kernel for rows of this width; None if the processor lacks AVX2 or LLVM cannot compile it.

    - width: a multiple of STEP_COLUMNS.
    """
    try:
        import llvmlite.binding as llvm

        if not llvm.get_host_cpu_features().get("avx2"):
            return None
        return _compiled(llvm, width)
    except Exception as error:  # llvmlite's functions change from version to version. The other heads work without it.
        logger.info("encoding may be slower: the fused kernel cannot be compiled here (%s)", error)
        return None


def _compiled(llvm: Any, width: int) -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(_Builder(width, llvm.get_process_triple()).text())
    module.verify()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features="+avx2", opt=3, jit=True)
    # LLVM ends the process if it has to resolve an intrinsic that it does not know. It would show as a call.
    assembly = machine.emit_assembly(module)
    if "vpmaddubsw" not in assembly or "call" in assembly:
        raise NotImplementedError("LLVM of this version does not know the AVX2 instructions of the kernel")
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    pointers, numbers = [ctypes.c_void_p] * 7, [ctypes.c_int64] * 2
    function = ctypes.CFUNCTYPE(None, *pointers, *numbers)(engine.get_function_address(_Builder.NAME))
    function.engine = engine  # type: ignore[attr-defined]  # It owns the memory of the code.
    return function


class _Loop:
    """A loop that is being built: its counter, the values at its start, and the values for its next turn."""

    def __init__(self, index: Any, values: list[Any]) -> None:
        self.index, self.values, self.next = index, values, list(values)


class _Builder:
    """Builds the kernel: for every tile of terms, every text and every block of rows, the sums over the columns."""

    NAME = "spladelake_screen"

    def __init__(self, width: int, triple: str) -> None:
        from llvmlite import ir

        self._ir, self._width = ir, width
        byte, short = ir.IntType(8), ir.IntType(16)
        self._int, self._long, self._float = ir.IntType(32), ir.IntType(64), ir.FloatType()
        self._pointer = byte.as_pointer()
        self._bytes, self._shorts = ir.VectorType(byte, 4 * LANES), ir.VectorType(short, 2 * LANES)
        self._ints, self._floats = ir.VectorType(self._int, LANES), ir.VectorType(self._float, LANES)
        self._byte = byte
        self._module = ir.Module(name=self.NAME)
        self._module.triple = triple
        pairs = ir.FunctionType(self._shorts, [self._bytes, self._bytes])
        self._multiply = ir.Function(self._module, pairs, "llvm.x86.avx2.pmadd.ub.sw")
        quads = ir.FunctionType(self._ints, [self._shorts, self._shorts])
        self._add_halves = ir.Function(self._module, quads, "llvm.x86.avx2.pmadd.wd")
        kind = ir.FunctionType(ir.VoidType(), [self._pointer] * 7 + [self._long] * 2)
        self._function = ir.Function(self._module, kind, self.NAME)
        self._b = ir.IRBuilder(self._function.append_basic_block())

    def text(self) -> str:
        """Return the module as LLVM's text."""
        b, tile_bytes = self._b, TILE_TERMS * self._width
        rows, blocks, factors, weights, starts, coefficients, out, texts, tiles = self._function.args
        with self._loop(tiles, []) as tile:
            of_weights = self._at(weights, b.mul(tile.index, self._number(tile_bytes)))
            of_starts = self._at(starts, b.mul(tile.index, self._number(TILE_TERMS * 4)))
            of_coefficients = self._at(coefficients, b.mul(tile.index, self._number(TILE_TERMS * 12)))
            with self._loop(texts, [rows, self._at(out, b.mul(tile.index, self._number(VECTORS)))]) as text:
                count = self._load(self._at(blocks, b.mul(text.index, self._number(8))), self._long)
                lowest = self._ir.Constant(self._ints, [-(2**31)] * LANES)
                with self._loop(count, [text.values[0]] + [lowest] * VECTORS) as block:
                    sums = self._sums(block.values[0], of_weights, of_starts)
                    block.next = [self._at(block.values[0], ROWS * self._width), *self._larger(block.values[1:], sums)]
                of_factors = self._at(factors, b.mul(text.index, self._number(12)))
                self._compare(block.next[1:], of_factors, of_coefficients, text.values[1])
                text.next = [block.next[0], self._at(text.values[1], b.mul(tiles, self._number(VECTORS)))]
        b.ret_void()
        return str(self._module)

    def _sums(self, rows: Any, weights: Any, starts: Any) -> list[Any]:
        """Build the sums over the columns of ROWS rows with the terms of a tile: 16-bit halves, row after row."""
        b = self._b
        first = [self._load(self._at(starts, 4 * LANES * v), self._shorts) for v in range(VECTORS)]
        with self._loop(self._number(self._width // STEP_COLUMNS), [weights, rows, *first * ROWS]) as step:
            terms, states, *sums = step.values
            for group in range(STEP_COLUMNS // 4):
                of_terms = [
                    self._load(self._at(terms, (group * VECTORS + v) * 4 * LANES), self._bytes) for v in range(VECTORS)
                ]
                for row in range(ROWS):
                    four = self._load(self._at(states, row * self._width + 4 * group), self._int)
                    state = b.bitcast(self._repeated(four), self._bytes)
                    for v, of_term in enumerate(of_terms, start=row * VECTORS):
                        sums[v] = b.add(sums[v], b.call(self._multiply, [state, of_term]))
            step.next = [self._at(terms, STEP_COLUMNS * TILE_TERMS), self._at(states, STEP_COLUMNS), *sums]
        return step.next[2:]

    def _larger(self, largest: list[Any], sums: list[Any]) -> list[Any]:
        """Build the maxima of the whole sums and the largest so far."""
        b, largest = self._b, list(largest)
        ones = self._ir.Constant(self._shorts, [1] * (2 * LANES))
        for place, halves in enumerate(sums):
            whole, v = b.call(self._add_halves, [halves, ones]), place % VECTORS
            largest[v] = b.select(b.icmp_signed(">", whole, largest[v]), whole, largest[v])
        return largest

    def _compare(self, largest: list[Any], factors: Any, coefficients: Any, out: Any) -> None:
        """Build the comparison of the largest sums with the thresholds. It writes one bit a term."""
        b = self._b
        of_text = [self._repeated(self._load(self._at(factors, 4 * i), self._float)) for i in range(3)]
        for v, whole in enumerate(largest):
            of_term = [self._load(self._at(coefficients, (3 * v + i) * 4 * LANES), self._floats) for i in range(3)]
            products = [b.fmul(factor, of_term[i]) for i, factor in enumerate(of_text)]
            threshold = b.fadd(b.fadd(products[0], products[1]), products[2])
            above = b.fcmp_unordered(">", b.sitofp(whole, self._floats), threshold)
            b.store(b.bitcast(above, self._byte), self._at(out, v))

    @contextmanager
    def _loop(self, count: Any, values: list[Any]) -> Iterator[_Loop]:
        """Build a loop of at least one turn; the caller sets `next`."""
        b, before = self._b, self._b.block
        body = self._function.append_basic_block()
        b.branch(body)
        b.position_at_end(body)
        index, phis = b.phi(self._long), [b.phi(value.type) for value in values]
        loop = _Loop(index, phis)
        yield loop
        following = b.add(index, self._number(1))
        for phi, first, later in zip([index, *phis], [self._number(0), *values], [following, *loop.next], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, b.block)
        after = self._function.append_basic_block()
        b.cbranch(b.icmp_unsigned("<", following, count), body, after)
        b.position_at_end(after)

    def _number(self, value: int) -> Any:
        return self._ir.Constant(self._long, value)

    def _at(self, pointer: Any, offset: Any) -> Any:
        """Build the address a number of bytes further."""
        return self._b.gep(pointer, [self._number(offset) if isinstance(offset, int) else offset])

    def _load(self, pointer: Any, kind: Any) -> Any:
        return self._b.load(self._b.bitcast(pointer, kind.as_pointer()), align=1)

    def _repeated(self, value: Any) -> Any:
        """Build a vector that repeats a value."""
        kind = self._ir.VectorType(value.type, LANES)
        nothing = self._ir.Constant(kind, self._ir.Undefined)
        first = self._b.insert_element(nothing, value, self._ir.Constant(self._int, 0))
        return self._b.shuffle_vector(first, nothing, self._ir.Constant(self._ints, [0] * LANES))
