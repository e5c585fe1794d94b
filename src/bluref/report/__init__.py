"""Contact sheets, curves, tables, the demo's picture."""
