"""Which commit is to blame: a search between two commits by the same test."""
