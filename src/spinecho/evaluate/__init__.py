"""Method against data: tables, pictures, reports."""
