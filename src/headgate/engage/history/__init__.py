"""History: every message that Engage observed, with its profile, as Parquet files that DuckDB reads.

Written and read by short-lived processes of their own: DuckDB is large, and the server's processes never
import it. `parts`, `tail`, `rows` and `chunks` do without it; all else here belongs into such a process.
"""
