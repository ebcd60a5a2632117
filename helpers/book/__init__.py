"""The book's generated parts: cards of models and data, costs, and the Sphinx extension."""
