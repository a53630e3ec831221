"""A forecast is what the records say, tells how wrong it was where it could be checked, and what it goes beyond."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench import fit_forecast
from spladelake.cli import main
from spladelake.config.forecast import Forecast
from spladelake.forecast import Estimate, Line, estimates, extrapolations, fitted, load_slopes
from spladelake.forecast.slopes import slopes_of

RESULTS = fit_forecast.RESULTS
RETRIEVED = json.loads((RESULTS / "retrieve_spark.json").read_text(encoding="utf-8"))


def forecast(**given: object) -> dict[str, Estimate]:
    asked = Forecast.model_validate({"model": "splade-tiny", "docs": 1_000_000, **given})
    return {estimate.step: estimate for estimate in estimates(load_slopes(), asked)}


def test_the_shipped_slopes_are_those_that_the_script_makes_of_the_records() -> None:
    assert fit_forecast.SHIPPED.read_text(encoding="utf-8") == fit_forecast.slopes_text(RESULTS)


def test_a_line_goes_through_the_outer_sizes_and_says_how_far_off_it_is_at_the_others() -> None:
    """10, 20 and 36 at 1, 2 and 4: between the outer two it says 18 2/3 at 2; from the smaller two 40 at 4."""
    line = fitted({1: 10, 4: 36, 2: 20})
    assert [line.at(1), line.at(4)] == pytest.approx([10, 36])
    assert line.between == pytest.approx((10 + 26 / 3) / 20 - 1)
    assert line.beyond == pytest.approx(40 / 36 - 1)
    assert (line.error(3), line.error(5)) == (line.between, line.beyond)


def test_a_single_measurement_gives_a_line_from_zero_whose_error_is_not_known() -> None:
    assert fitted({200: 10}) == Line(0, 0.05, (200,), None, None)


def every_line() -> dict[str, Line]:
    slopes = load_slopes()
    lines = {"encode": slopes.encode.seconds, "index": slopes.index_s, "candidates": slopes.candidates}
    lines |= {f"retrieve from {source}": line for source, line in slopes.retrieve.seconds.items()}
    lines |= {
        "shuffle": slopes.encode.shuffle,
        "vectors' bytes": slopes.encode.table,
        "index bytes": slopes.index_bytes,
    }
    return {name: line for name, line in lines.items() if line.between is not None}


@pytest.mark.parametrize("name", every_line())
def test_at_a_size_left_out_of_the_fit_the_forecast_is_off_by_a_quarter_at_most(name: str) -> None:
    line = every_line()[name]
    assert line.between is not None
    assert abs(line.between) <= 0.25


def test_volumes_are_forecast_within_a_few_percent() -> None:
    slopes = load_slopes()
    volumes = (slopes.encode.shuffle, slopes.encode.table, slopes.index_bytes, slopes.candidates)
    assert max(abs(error or 1) for line in volumes for error in (line.between, line.beyond)) < 0.065


@pytest.mark.parametrize("docs", [500_000, 8_841_823])
def test_at_the_sizes_of_the_fit_it_says_what_was_measured(docs: int) -> None:
    made, measured = forecast(docs=docs), RETRIEVED[str(docs)]
    assert made["index_vectors"].seconds == pytest.approx(measured["index_s"], rel=1e-3)
    assert made["retrieve_run from vectors"].seconds == pytest.approx(measured["from_vectors_s"], rel=1e-3)
    assert made["retrieve_run from index"].seconds == pytest.approx(measured["from_index_s"], rel=1e-3)
    assert made["index_vectors"].storage_bytes == pytest.approx(measured["index_mb"] * 1e6, rel=1e-3)


def test_a_small_search_shuffles_the_best_documents_of_every_task() -> None:
    measured = json.loads((RESULTS / "volumes.json").read_text(encoding="utf-8"))["32000"]["vectors"]
    assert measured["candidates"] == 2 * measured["rows"]
    made = forecast(docs=32_000, queries=1_000, k=100)["retrieve_run from vectors"]
    assert made.shuffle_bytes == pytest.approx(measured["shuffle_bytes"], rel=1e-3)


@pytest.mark.parametrize("more", [{"docs": 2_000_000}, {"queries": 20_000}, {"k": 2_000}, {"model": "distilbert"}])
def test_more_work_takes_no_less(more: dict[str, object]) -> None:
    small, large = forecast(), forecast(**more)
    for step, estimate in large.items():
        assert estimate.seconds >= small[step].seconds
        assert estimate.shuffle_bytes >= small[step].shuffle_bytes
        assert estimate.storage_bytes >= small[step].storage_bytes
    assert sum(e.seconds for e in large.values()) > sum(e.seconds for e in small.values())


def test_twice_the_executors_halve_the_work_but_not_the_start_of_a_job() -> None:
    for step, two in forecast(docs=10**9).items():
        eight = forecast(docs=10**9, executors=4)[step]
        assert two.seconds / 4 <= eight.seconds < two.seconds / 3.9


def test_tokens_and_a_speed_of_ones_own_replace_the_records() -> None:
    slow = forecast(docs_per_second=10, docs=10**6)["encode_texts"].seconds
    assert slow == pytest.approx(10**6 / 10 / 2, rel=1e-3)
    long = forecast(tokens=2 * load_slopes().encode.tokens, docs=10**8)["encode_texts"].seconds
    assert long == pytest.approx(2 * forecast(docs=10**8)["encode_texts"].seconds, rel=1e-3)


def test_it_says_what_it_goes_beyond_and_nothing_of_what_it_does_not() -> None:
    def said(**given: object) -> str:
        asked = Forecast.model_validate({"model": "splade-tiny", "docs": 1_000_000, **given})
        return "\n".join(extrapolations(load_slopes(), asked))

    assert "parallel tasks" not in said()
    assert "For 64 tasks the forecast divides the work evenly" in said(executors=16, cores=4)
    assert "timings of index_vectors and retrieve_run" not in said()
    assert "50,000,000 is 5.7 times the largest" in said(docs=50_000_000)
    assert "no measurement confirms the result" in said(queries=10)
    assert "For rasyosef/splade-mini the forecast uses the relative speed" in said(model="rasyosef/splade-mini")
    assert "terms per document" in said()


def test_an_encode_job_timed_at_three_sizes_gives_its_line_and_error(tmp_path: Path) -> None:
    """100 s for what is between 5,000 and 60,000 documents: 2 s and 10 ms each at the ends, 200 s said at 20,000."""
    results = Path(shutil.copytree(RESULTS, tmp_path / "results"))
    record = json.loads((results / "encode_spark.json").read_text(encoding="utf-8"))
    record["seconds_by_size"] = {"5000": 52.0, "20000": 160.0, "60000": 602.0}
    (results / "encode_spark.json").write_text(json.dumps(record), encoding="utf-8")
    line = slopes_of(json.loads(fit_forecast.slopes_text(results))).encode.seconds
    assert (line.fixed, line.slope) == pytest.approx((2, 0.01))
    assert line.between == pytest.approx(202 / 160 - 1, rel=1e-4)


def test_the_command_prints_a_table_and_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forecast", "--docs", "8841823", "--model", "splade-tiny"]) == 0
    shown = capsys.readouterr()
    (line,) = shown.out.splitlines()
    result = json.loads(line)
    assert (result["job"], result["exit_code"], result["slots"]) == ("forecast", 0, 2)
    assert result["steps"]["retrieve_run from vectors"]["seconds"] == pytest.approx(183.24, rel=1e-3)
    assert set(result["steps"]["encode_texts"]) == {"seconds", "error", "memory_mb", "shuffle_bytes", "storage_bytes"}
    for sentence in result["extrapolated"]:
        assert sentence.split()[0] in shown.err


@pytest.mark.parametrize(
    ("arguments", "pieces"),
    [
        (["--docs", "0"], ["forecast: docs", "the value is '0'"]),
        (
            ["--docs", "10", "--model", "qwen"],
            ["model qwen", "no measurement covers this model", "--docs-per-second"],
        ),
        (["--docs", "10", "--cores", "none"], ["forecast: cores", "the value is 'none'"]),
        ([], ["Missing option '--docs'"]),
    ],
)
def test_a_wrong_option_ends_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], pieces: list[str]
) -> None:
    assert main(["forecast", *arguments]) == 2
    shown = capsys.readouterr()
    assert json.loads(shown.out)["exit_code"] == 2
    for piece in pieces:
        assert piece in shown.err
