"""The Spark jobs: ingest, encode, retrieve, evaluate, over Delta tables. torch is imported only inside workers.

With no pyspark, or with one that is too old, this import is refused: the rooms below import names that it lacks.
"""

from spladelake.errors import MachineError
from spladelake.spark_versions import INSTALL, check_pyspark

try:
    import pyspark
except ModuleNotFoundError as error:
    raise MachineError(
        "pyspark",
        f"no package {error.name} is installed",
        "wanted Spark 4.0.1 or newer, below 4.3",
        f"Install the extra: pip install 'spladelake[spark]' (or {INSTALL}). On a platform with Spark, use the Python "
        "of the platform.",
    ) from error

check_pyspark(pyspark.__version__)
