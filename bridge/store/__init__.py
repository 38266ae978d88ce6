"""The state, on SQLite or PostgreSQL: tables, migrations, and every line of SQL that there is."""
