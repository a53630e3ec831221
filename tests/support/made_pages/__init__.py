"""Pages that are made from the code and from the records of the benchmarks. make.py writes them."""
