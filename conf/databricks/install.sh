#!/bin/bash
# Init script of the nodes: the package without its requirements, and those of them that the platform does not bring.
# Spark, Delta, pandas, numpy and pyarrow stay the platform's. SPLADELAKE_ROOT: where the bundle's files are.
set -euo pipefail
/databricks/python/bin/pip install torch transformers safetensors numba scipy pydantic click pyyaml rich PyStemmer deltalake
cp -r "${SPLADELAKE_ROOT:?}" /tmp/spladelake-source
/databricks/python/bin/pip install --no-deps /tmp/spladelake-source
