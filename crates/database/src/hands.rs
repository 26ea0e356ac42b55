//! What is done to PostgreSQL: start, stop, clone, follow, rewind, promote; and what is known of it.
