"""Instructions a call, counted by callgrind at several layouts, and what they allow to be said."""
