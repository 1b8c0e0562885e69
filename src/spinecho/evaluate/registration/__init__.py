"""Registration judged: pairs, methods and fields from elsewhere, rows, tables."""
