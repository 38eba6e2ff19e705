"""When a benchmark changed its level, over the results of many runs and machines."""
