"""The truth about a study: one row for each cell, and who runs it, kept in a folder or in a database."""
