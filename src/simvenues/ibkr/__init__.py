"""Simulated Interactive Brokers gateway: the TWS wire protocol over an exchange."""

from simvenues.ibkr.server import IbkrGateway

__all__ = ["IbkrGateway"]
