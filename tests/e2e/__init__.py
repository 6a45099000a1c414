"""Whole programs: real servers, real sockets, the example, the benchmarks' agreement."""
