"""How reconstructions are judged: cases with a truth, protocol, oracles, tables, pages."""
