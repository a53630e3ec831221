"""A compressed file whose name says something else is refused with the fix for its content."""

from __future__ import annotations

import bz2
import gzip

import pytest

from spladelake.errors import DataError
from spladelake.files.contents import check_head

TEXT = b"1\tred apples\n"
# Name, content, and the fix.
WRONG: dict[str, tuple[str, bytes, str]] = {
    "no bytes": ("d.tsv.gz", b"", "Copy the file again from its source, or remove it."),
    "plain text": ("d.tsv.gz", TEXT, "If it is not compressed, remove .gz from its name."),
    "another compression": ("d.tsv.gz", bz2.compress(TEXT), "Rename the file so that its name ends in .bz2."),
    "no ending": ("d.tsv", gzip.compress(TEXT), "Rename the file so that its name ends in .gz."),
    "xz without its ending": ("d.tsv", b"\xfd7zXZ\x00", "Run: xz -dc < FILE > NEW."),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_name_that_does_not_fit_the_content_is_refused_with_the_fix_for_the_content(case: str) -> None:
    name, content, fix = WRONG[case]
    with pytest.raises(DataError) as refused:
        check_head(name, content, "tsv")
    assert fix in refused.value.fix


@pytest.mark.parametrize(("name", "content"), [("d.tsv", TEXT), ("d.tsv", b""), ("d.tsv.bz2", bz2.compress(TEXT))])
def test_a_name_that_fits_the_content_is_read(name: str, content: bytes) -> None:
    check_head(name, content, "tsv")
