//! What stands between clients and PostgreSQL, and closes in microseconds.
