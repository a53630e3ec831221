#!/bin/sh
# Spark's resource discovery: prints {"name": "gpu", "addresses": ["0", "1"]} for the GPUs that nvidia-smi lists.
addresses=$(nvidia-smi --query-gpu=index --format=csv,noheader | sed 's/.*/"&"/' | paste -sd, -)
printf '{"name": "gpu", "addresses": [%s]}\n' "$addresses"
