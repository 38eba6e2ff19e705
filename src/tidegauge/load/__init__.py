"""How much load does the API carry? Locust, in open loop, with clocks that start when a request was due."""
