#!/bin/bash
# Init script of the nodes: installs the package, and the requirements that the platform lacks.
# Spark, Delta, pandas, numpy and pyarrow come with the platform. SPLADELAKE_ROOT: folder of the bundle's files.
set -euo pipefail
/databricks/python/bin/pip install torch transformers safetensors numba llvmlite scipy pydantic click pyyaml rich PyStemmer deltalake regex
cp -r "${SPLADELAKE_ROOT:?}" /tmp/spladelake-source
/databricks/python/bin/pip install --no-deps /tmp/spladelake-source
