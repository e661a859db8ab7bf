"""The benchmark: any codecs on any pictures, real files, what they cost and how near they come.

    contest      what a codec is to the benchmark
    catalogue    codecs by name: learned (ours, CompressAI's), peers (Pillow and others), programs
    pictures     which pictures, and what codecs get of them
    measure      one picture through one codec; metrics, memory
    runner       all of them, with a journal to go on from
    curves, bd_rate, classify
                 what follows from the rows
    results      results.json, results.csv, a table
    command      `lictor bench`
    entropy_coders
                 `lictor bench entropy`, a benchmark of its own

docs/benchmark.md tells what each figure means.
"""
