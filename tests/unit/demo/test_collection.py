"""Docstrings become a known-item collection whose judgements are true and whose answers are not given away."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from collections import defaultdict
from pathlib import Path

import pytest

from spladelake.demo.collection import DEMO_QUESTIONS, CollectionSummary, DemoCollection, stdlib_collection, write_beir
from spladelake.errors import DataError
from spladelake.files import beir_judgement, jsonl_document_parser, jsonl_query_parser

TWENTY = "one two three four five six seven eight nine ten " * 2  # as many words as a body needs
QUOTING = "as in: print the  whole\n    line, and so on"
NINETEEN = TWENTY.removesuffix("ten ")


def docstring(question: str, body: str) -> str:
    return f'"""{question}\n\n    {body.strip()}\n    """'


FILES = {
    "alpha.py": f'''
{docstring("Read and write alpha files.", "Module " + TWENTY)}
def parse(line):
    {docstring("Parse a single line.", "Parse body " + TWENTY)}
def short(line):
    {docstring("Return nothing of use.", NINETEEN)}
def signature(line):
    {docstring("signature(line) -> a parsed line", TWENTY + "a")}
def terse(line):
    {docstring("Two words.", TWENTY + "b")}
def heading(line):
    {docstring("The arguments are these:", TWENTY + "c")}
def quoting(line):
    {docstring("Print the whole line.", TWENTY + QUOTING)}
def long_paragraph(line):
    """This first paragraph goes on
    for more than two lines
    and so holds no summary.

    {TWENTY}"""
def surrogate(line):
    """Return a broken character.

    \\ud800 {TWENTY}"""
def undocumented(line):
    return "not a docstring"
''',
    "pkg/__init__.py": "",
    "pkg/beta.py": f'''
class Reader:
    """Read the files of a folder
    one after the other.

    Reader body {TWENTY}"""
    async def read(self):
        """Read the next file. The second line is body.
        Read body {TWENTY}"""
        def inner():
            {docstring("Help the reader's method.", "Inner body " + TWENTY)}
if True:
    def twice():
        {docstring("First of two definitions.", "First " + TWENTY)}
else:
    def twice():
        {docstring("Second of two definitions.", "Second " + TWENTY)}
''',
    # The same body as alpha.parse, and the same question as alpha.parse, but for case and line breaks.
    "pkg/gamma.py": f"""
def same_body():
    {docstring("Take a line apart.", "parse  BODY " + TWENTY)}
def same_question():
    {docstring("Parse a  SINGLE line", "Another body " + TWENTY)}
def same_both():
    {docstring("Parse a single line.", "Parse body " + TWENTY)}
""",
    "broken.py": "def (:",
    "nul.py": "x = 1\0",
    "not-a-module.py": f'"""Never read at all.\n\n{TWENTY}"""',
    "lib-dynload/x.py": f'"""Never read at all.\n\n{TWENTY}"""',
    "test/support.py": f'"""Never read at all.\n\n{TWENTY}"""',
    "pkg/tests/test_beta.py": f'"""Never read at all.\n\n{TWENTY}"""',
    "lib2to3/fixer.py": f'"""Never read at all.\n\n{TWENTY}"""',
    "site-packages/other.py": f'"""Never read at all.\n\n{TWENTY}"""',
}


@pytest.fixture
def made(tmp_path: Path) -> DemoCollection:
    for name, source in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return stdlib_collection(tmp_path)


def test_documents_are_bodies_without_their_first_sentence(made: DemoCollection) -> None:
    body = TWENTY.strip()
    assert made.documents == (
        ("alpha", "", f"Module {body}"),
        ("alpha.parse", "", f"Parse body {body}"),
        ("pkg.beta.Reader", "", f"Reader body {body}"),
        ("pkg.beta.Reader.read", "", f"Read body {body}"),
        ("pkg.beta.Reader.read.inner", "", f"Inner body {body}"),
        ("pkg.beta.twice", "", f"First {body}"),
        ("pkg.beta.twice#2", "", f"Second {body}"),
        ("pkg.gamma.same_question", "", f"Another body {body}"),
    )


def test_queries_are_first_sentences_and_each_different_one_is_asked_once(made: DemoCollection) -> None:
    assert made.queries == (
        ("q:alpha", "Read and write alpha files."),
        ("q:alpha.parse", "Parse a single line."),
        ("q:pkg.beta.Reader", "Read the files of a folder one after the other."),
        ("q:pkg.beta.Reader.read", "Read the next file. The second line is body."),
        ("q:pkg.beta.Reader.read.inner", "Help the reader's method."),
        ("q:pkg.beta.twice", "First of two definitions."),
        ("q:pkg.beta.twice#2", "Second of two definitions."),
        ("q:pkg.gamma.same_body", "Take a line apart."),
    )


def test_judgements_list_every_body_that_a_sentence_came_from(made: DemoCollection) -> None:
    relevant = defaultdict(list)
    for query_id, doc_id, relevance in made.judgements:
        assert relevance == 1
        relevant[query_id].append(doc_id)
    assert relevant.pop("q:alpha.parse") == ["alpha.parse", "pkg.gamma.same_question"]
    assert relevant.pop("q:pkg.gamma.same_body") == ["alpha.parse"]
    assert relevant == {f"q:{name}": [name] for name in (query_id[2:] for query_id in relevant)}
    assert len(made.judgements) == 9


def test_the_summary_accounts_for_every_docstring(made: DemoCollection) -> None:
    assert made.summary == CollectionSummary(
        files=4,
        unparsed_files=2,
        docstrings=17,  # 9 in alpha, 5 in beta, 3 in gamma
        short=1,
        unsuitable=5,  # signature, terse, heading, long_paragraph, surrogate
        quoted=1,
        repeated_bodies=2,  # same_body, same_both
        shared_queries=2,  # same_question, same_both
    )


def test_a_folder_without_docstrings_is_an_error_that_says_what_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1")
    with pytest.raises(DataError, match=r"no Python file in the folder has a docstring.*source files"):
        stdlib_collection(tmp_path)


def test_a_written_collection_is_read_back_by_the_parsers_of_a_beir_folder(
    made: DemoCollection, tmp_path: Path
) -> None:
    folder = tmp_path / "beir" / "demo"
    for _ in range(2):  # a second time replaces the first
        write_beir(made, folder)
    lines = {
        name: (folder / name).read_bytes().split(b"\n") for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")
    }
    assert all(content.pop() == b"" for content in lines.values())
    assert [*map(jsonl_document_parser(), lines["corpus.jsonl"])] == [*made.documents]
    assert [*map(jsonl_query_parser(), lines["queries.jsonl"])] == [*made.queries]
    assert [*map(beir_judgement, lines["qrels/test.tsv"])] == [None, *made.judgements]
    assert json.loads(lines["corpus.jsonl"][0]).keys() == {"_id", "title", "text"}


# Of the 650 files of the standard library, which take seconds to parse; with those that answer the demo's questions.
PART = ("functools.py", "shutil.py", "textwrap.py", "timeit.py", "email", "json", "logging", "unittest")


@pytest.fixture(scope="module", params=["part", pytest.param("whole", marks=pytest.mark.slow)])
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DemoCollection:
    """The collection of a part of the standard library; of all of it among the slow tests."""
    if request.param == "whole":
        return stdlib_collection()
    library, folder = Path(sysconfig.get_path("stdlib")), tmp_path_factory.mktemp("library")
    for name in PART:
        (shutil.copytree if (library / name).is_dir() else shutil.copy)(library / name, folder / name)
    return stdlib_collection(folder)


@pytest.mark.slow
def test_the_standard_library_gives_about_two_thousand_documents() -> None:
    whole = stdlib_collection()
    assert 1200 < len(whole.documents) < 3000  # 1,900 on Python 3.11.7
    assert 1200 < len(whole.queries) < 3000


def test_the_summary_accounts_for_every_real_docstring(real: DemoCollection) -> None:
    summary = real.summary
    assert len(real.documents) > 100
    dropped = summary.short + summary.unsuitable + summary.quoted + summary.repeated_bodies
    assert summary.docstrings == dropped + len(real.documents)
    assert len(real.queries) == len(real.documents) + summary.repeated_bodies - summary.shared_queries


def test_every_id_is_unique_and_fit_for_a_trec_file_and_every_judgement_refers_to_both_sides(
    real: DemoCollection,
) -> None:
    doc_ids = [doc_id for doc_id, _, _ in real.documents]
    query_ids = [query_id for query_id, _ in real.queries]
    assert len(set(doc_ids)) == len(doc_ids)
    assert len(set(query_ids)) == len(query_ids)
    assert all(value.split() == [value] for value in (*doc_ids, *query_ids))
    assert len(set(real.judgements)) == len(real.judgements)
    assert {query_id for query_id, _, _ in real.judgements} == set(query_ids)
    assert {doc_id for _, doc_id, _ in real.judgements} == set(doc_ids)


def test_no_query_stands_word_for_word_in_a_document_that_answers_it(real: DemoCollection) -> None:
    texts = {doc_id: " ".join((text or "").lower().split()) for doc_id, _, text in real.documents}
    queries = {query_id: " ".join((text or "").lower().split()) for query_id, text in real.queries}
    assert not [row for row in real.judgements if queries[row[0]] in texts[row[1]]]


def test_a_known_docstring_is_parted_where_its_summary_ends(real: DemoCollection) -> None:
    # textwrap.dedent: "Remove any common leading whitespace from every line in `text`.", a blank line, the body.
    text = {doc_id: text for doc_id, _, text in real.documents}["textwrap.dedent"]
    assert dict(real.queries)["q:textwrap.dedent"] == "Remove any common leading whitespace from every line in `text`."
    assert text is not None
    assert text.startswith("This can be used to make triple-quoted strings line up")


def test_each_demo_question_has_its_answer_among_the_documents(real: DemoCollection) -> None:
    assert len(DEMO_QUESTIONS) == 3
    assert {"shutil.copytree", "functools.lru_cache", "timeit.Timer"} <= {doc_id for doc_id, _, _ in real.documents}


def test_parsing_imports_nothing_and_prints_nothing(
    made: DemoCollection, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "danger.py").write_text(
        f'print("imported")\nPATTERN = "\\d"\ndef f():\n    {docstring("A fine first line.", TWENTY)}'
    )
    before = set(sys.modules)
    assert len(stdlib_collection(tmp_path).documents) == len(made.documents) + 1
    assert set(sys.modules) == before
    assert capfd.readouterr() == ("", "")
