"""What options are worth: prices, Greeks and implied volatilities, one contract at a time or a whole book.

`calendar` says how long a contract lives, `european` prices arrays of contracts, `implied` goes from a price back to
a volatility, and `book` keeps what is held priced while spots, volatilities and time move. Everything here is pure
computation: no clock, no input or output.
"""
