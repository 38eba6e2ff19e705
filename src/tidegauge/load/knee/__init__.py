"""How much the target carries: a search over open rates. Who drives the steps is not known here."""
