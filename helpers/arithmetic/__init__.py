"""Paper 1: verified arithmetic circuits (Quirke, Neo and Barez, arXiv 2402.02619)."""
