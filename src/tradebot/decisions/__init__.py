"""What to do with an open strategy: a view of it goes in, the first answer of the rules by priority comes out."""
