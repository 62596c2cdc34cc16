"""The database: engine, tables, migrations, locks, and the embedded PostgreSQL server.

In: a URL. Out: typed tables and connections. Statements stand in the module that owns the table, not here.
"""
