"""REMEMBERS. All SQL, as functions taking a connection; SQLite and PostgreSQL alike."""
