"""One module for each room of the bot that the service shows; each holds one router and no state."""
