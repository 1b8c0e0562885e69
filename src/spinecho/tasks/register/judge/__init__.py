"""How registrations are judged: pairs with regions or known warps, contenders, tables, reports."""
