"""The processes that hold benchmarks, and our conversations with them: one each, or forks of a nursery."""
