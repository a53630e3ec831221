"""A BEIR folder with fewer documents, for machines on which encoding all of them takes too long.

    python tests/bench/thin_collection.py FOLDER OUT --documents N

Every judged document stays; the others are kept in the order of a hash of their id. Queries and judgements stay as they
are. Searching fewer documents is easier, so figures on a thin collection compare only with others on the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path


def main() -> None:
    """Parse the command line and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--documents", type=int, required=True)
    options = parser.parse_args()
    print(thin(options.folder, options.out, options.documents))


def thin(folder: Path, out: Path, documents: int) -> int:
    """Write the thin collection; returns how many documents it has."""
    judged: set[str] = set()
    for file in sorted((folder / "qrels").glob("*.tsv")):
        lines = file.read_text(encoding="utf-8").split("\n")[1:]
        judged |= {line.split("\t")[1] for line in lines if line}
    lines = [line for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").split("\n") if line]
    ids = [json.loads(line)["_id"] for line in lines]
    by_hash = sorted((i for i in ids if i not in judged), key=lambda i: hashlib.sha256(i.encode()).hexdigest())
    kept = judged | set(by_hash[: max(0, documents - len(judged & set(ids)))])
    out.mkdir(parents=True, exist_ok=True)
    chosen = [line for line, i in zip(lines, ids, strict=True) if i in kept]
    (out / "corpus.jsonl").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    shutil.copy(folder / "queries.jsonl", out)
    shutil.copytree(folder / "qrels", out / "qrels", dirs_exist_ok=True, copy_function=shutil.copyfile)
    return len(chosen)


if __name__ == "__main__":
    main()
