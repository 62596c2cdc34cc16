"""Engine, tables and migrations of Re*Star's own database. Statements live with the module that owns the table."""
