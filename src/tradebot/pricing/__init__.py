"""What options are worth: prices, Greeks and implied volatilities, one contract at a time or a whole book.

`calendar` says how long a contract lives, `european` prices arrays of contracts, `implied` goes from a price back to
a volatility, and `book` keeps what is held priced while spots, volatilities and time move. Everything here is pure
computation: no clock, no input or output.

The loops are compiled ahead, in a process of its own: marked functions (`jit`, `signature`) -> `compiler` (with
`entry` and `operations`: numba is theirs alone) -> object code, kept on disk (`cache`) -> `loader` -> kernels that can
be called. `warmup` has that done at start.
"""
