"""What every stage recorded, read back: trace, audit, status. Reads only; works beside a server and on a copy."""
