"""However texts are batched, each keeps its place and its vector."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spladelake.encoder import EncodeStats, SpladeEncoder
from spladelake.encoder.batching import LEAST_TOKENS, Runner, TokenBudget, Window, WindowReader
from spladelake.encoder.threads import ModelThreads
from spladelake.errors import DataError, MachineError, UsageError
from spladelake.scoring import check_vectors
from spladelake.vectors import SparseVectors
from support.families import TEXTS, bert, modernbert

LENGTHS = st.lists(st.integers(0, 600), max_size=400)


def window(lengths: list[int]) -> Window:
    ids = [np.full(length, position, dtype=np.int32) for position, length in enumerate(lengths)]
    return Window(np.arange(len(lengths)), ids, np.zeros(len(lengths), dtype=np.bool_))


def first_ids(ids) -> SparseVectors:
    """In place of a model: one term a text, its own number."""
    return SparseVectors.from_rows([([of_text[0]], [1.0]) for of_text in ids])


def runner(compute=first_ids, *, budget: int = 1024, threads: int = 1, pads: bool = False) -> Runner:
    return Runner(compute, TokenBudget(budget), ModelThreads(threads), pads)


@settings(max_examples=80, deadline=None)
@given(lengths=LENGTHS, budget=st.integers(1, 5000), threads=st.integers(1, 4), pads=st.booleans())
def test_a_batch_never_exceeds_the_budget_unless_it_is_one_text(lengths, budget, threads, pads):
    planner = Runner(first_ids, TokenBudget(budget), _Threads(threads), pads)  # type: ignore[arg-type]
    planned = list(planner.plan(np.array(lengths, dtype=np.int64)))
    for chosen in planned:
        of_batch = [lengths[i] for i in chosen]
        size = max(of_batch) * len(of_batch) if pads else sum(of_batch)
        assert size <= budget or len(of_batch) == 1
    taken = [int(i) for chosen in planned for i in chosen]
    assert sorted(taken) == [i for i, length in enumerate(lengths) if length]
    assert [lengths[i] for i in taken] == sorted((length for length in lengths if length), reverse=True)


class _Threads:
    def __init__(self, count: int) -> None:
        self.count = count


def test_few_texts_are_shared_between_the_threads():
    planned = list(runner(threads=2).plan(np.full(40, 20)))
    assert [len(chosen) for chosen in planned] == [20, 20]
    assert len(list(runner(threads=2).plan(np.full(4, LEAST_TOKENS // 4)))) == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_every_text_gets_its_own_vector(threads):
    lengths = [7, 0, 300, 2, 2, 0, 90, 511, 1]
    batches = list(runner(threads=threads, budget=300).run(iter([window(lengths)])))
    found = {
        int(position): batch.vectors.row(row)[0].tolist()
        for batch in batches
        for row, position in enumerate(batch.positions)
    }
    assert found == {position: [position] for position, length in enumerate(lengths) if length}


class Memory:
    """A model that fits only so many tokens."""

    def __init__(self, tokens: int, error: BaseException) -> None:
        self.tokens, self.error, self.tried = tokens, error, []

    def __call__(self, ids) -> SparseVectors:
        self.tried.append(sum(map(len, ids)))
        if self.tried[-1] > self.tokens:
            raise self.error
        return first_ids(ids)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_when_memory_runs_out_batches_are_halved_and_nothing_is_lost(error, caplog):
    memory = Memory(110, error)
    halving = runner(memory, budget=400)
    batches = list(halving.run(iter([window([50] * 12)])))
    positions = [int(position) for batch in batches for position in batch.positions]
    assert sorted(positions) == list(range(12))
    terms = [batch.vectors.row(row)[0].tolist() for batch in batches for row in range(len(batch.positions))]
    assert terms == [[position] for position in positions]
    assert halving.budget.tokens <= 110
    assert "does not fit into memory" in caplog.text


def test_a_smaller_budget_is_kept_after_memory_ran_out():
    memory = Memory(110, MemoryError())
    halving = runner(memory, budget=400)
    list(halving.run(iter([window([50] * 12)])))
    memory.tried.clear()
    list(halving.run(iter([window([50] * 12)])))
    assert max(memory.tried) <= 110


def test_a_text_that_does_not_fit_alone_is_one_clear_error():
    with pytest.raises(MachineError, match="one text of 120 tokens does not fit"):
        list(runner(Memory(110, MemoryError())).run(iter([window([30, 120, 20])])))


def test_other_failures_of_the_model_are_not_taken_for_lack_of_memory():
    memory = Memory(0, RuntimeError("shape mismatch"))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        list(runner(memory).run(iter([window([3, 3])])))
    assert len(memory.tried) == 1


def test_tokenising_goes_on_while_the_model_runs():
    reading, computed = threading.Event(), threading.Event()

    def slow(ids) -> SparseVectors:
        assert reading.wait(5), "the second window was not read while the first was computed"
        computed.set()
        return first_ids(ids)

    def windows():
        yield window([5])
        reading.set()
        yield window([5])

    list(runner(slow).run(windows()))
    assert computed.is_set()


def test_a_failure_stops_the_batches_that_wait():
    started: list[int] = []

    def failing(ids) -> SparseVectors:
        started.append(int(ids[0][0]))
        time.sleep(0.01)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(runner(failing, budget=10).run(iter([window([10] * 50)])))
    assert len(started) < 10


@pytest.fixture
def two_threads_of_torch() -> Iterator[None]:
    """As many as a machine has; other tests have one."""
    others = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(others)


@pytest.mark.usefixtures("two_threads_of_torch")
def test_threads_compute_alone_and_leave_the_process_as_it_was():
    before = torch.get_num_threads()
    assert before == 2
    pool = ModelThreads(2)
    assert {pool.submit(torch.get_num_threads).result() for _ in range(8)} == {1}
    assert torch.get_num_threads() == before
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [before]


def test_windows_hold_every_text_that_is_not_empty_once_and_the_longest_first():
    texts = ["a" * (i % 700) for i in range(2000)]
    reader = WindowReader(
        texts, lambda part: ([np.ones(len(t), np.int32) for t in part], np.zeros(len(part), np.bool_))
    )
    read = list(reader)
    assert reader.seconds > 0
    positions = np.concatenate([window.positions for window in read])
    assert sorted(positions) == [i for i, text in enumerate(texts) if text]
    sizes = [len(texts[i]) for i in positions]
    assert sizes == sorted(sizes, reverse=True)
    assert len(read) > 4


def test_the_order_of_the_texts_and_the_size_of_batches_change_nothing(tmp_path):
    for family in (bert, modernbert):
        folder = str(family(tmp_path / family.__name__))
        encoder = SpladeEncoder.load(folder, device="cpu", threads=2)
        texts = [*TEXTS, "", None, *TEXTS[::-1]] * 3
        order = np.random.default_rng(0).permutation(len(texts))
        whole = encoder.encode(texts)
        shuffled = encoder.encode([texts[i] for i in order])
        single = SpladeEncoder.load(folder, device="cpu", threads=1, token_budget=1).encode(texts)
        for other in (single.vectors, shuffled.vectors.take(np.argsort(order))):
            assert other.indptr.tolist() == whole.vectors.indptr.tolist()
            assert other.indices.tolist() == whole.vectors.indices.tolist()
            # Different sizes of a matrix product add up in different orders: 1e-5 is some 2**-17 of a weight near 1.
            np.testing.assert_allclose(other.values, whole.vectors.values, atol=1e-5)
        assert single.tokens.tolist() == whole.tokens.tolist()
        assert single.stats.tokens == whole.stats.tokens


def test_stats_say_what_was_computed(tmp_path):
    encoder = SpladeEncoder.load(str(modernbert(tmp_path)), device="cpu", threads=1)
    encoded = encoder.encode(["the law", "the", None])
    assert encoded.stats.texts == 3
    assert encoded.stats.tokens == encoded.tokens.sum() == encoded.tokens[0] + encoded.tokens[1]
    assert encoded.stats.padded_tokens == 2 * encoded.tokens[0]
    assert encoded.stats.padding_waste == pytest.approx(1 - encoded.stats.tokens / encoded.stats.padded_tokens)
    assert 0 < encoded.stats.tokenise_seconds < encoded.stats.seconds
    assert encoded.stats.docs_per_second == pytest.approx(3 / encoded.stats.seconds)


def test_stats_add_up():
    total = EncodeStats(2, 10, 12, 1.0, 0.25) + EncodeStats(3, 30, 36, 2.0, 0.5)
    assert total == EncodeStats(5, 40, 48, 3.0, 0.75)
    assert total.padding_waste == pytest.approx(8 / 48)
    assert (EncodeStats().padding_waste, EncodeStats().docs_per_second) == (0, 0)


def test_nothing_to_encode_is_an_empty_batch(tiny):
    for texts in ([], [None, "", " "]):
        encoded = tiny.encode(texts)
        assert len(encoded.vectors) == len(encoded.status) == len(encoded.tokens) == len(texts)
        assert encoded.vectors.indices.size == 0
        check_vectors(encoded.vectors, vocabulary_size=30522, place="found")


@pytest.mark.parametrize("options", [{"threads": 0}, {"token_budget": 0}, {"device": "abacus"}, {"device": "cuda:99"}])
def test_an_option_that_cannot_be_met_is_refused(options):
    (name,) = options
    with pytest.raises(UsageError, match=name):
        SpladeEncoder.load("splade-tiny", **options)


def test_what_is_no_list_of_texts_is_refused(tiny):
    with pytest.raises(UsageError, match=r"\[text\]"):
        tiny.encode("one text")
    with pytest.raises(DataError, match="text 1: the value has the type float"):
        tiny.encode(["a", 1.5])
    with pytest.raises(DataError, match="text 0: the value has the type bytes"):
        tiny.encode([b"a"])
    with pytest.raises(UsageError, match="document or query"):
        tiny.encode(["a"], kind="passage")
    with pytest.raises(UsageError, match="top_k"):
        tiny.decode(tiny.encode_documents(["a"]), top_k=0)
