"""What numbers allow to be said, and how sure it is. Pure: numbers in, words out."""
