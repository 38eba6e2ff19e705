"""WebSocket clients that count what is late, lost, doubled or out of order, and what that says of a fan-out."""
