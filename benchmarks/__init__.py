"""What the runtime and the stores take, beside what the same work takes without them.

::

    python -m benchmarks                       # everything, in less than ten minutes
    python -m benchmarks latency --quick
    python -m benchmarks restart --json restart.json

General layout: ``_harness`` has the rounds, ``supervisor._measure`` the statistics; ``_report`` is
what a benchmark says, ``_table`` prints it, ``_plot`` draws it; ``_baselines`` does the same work
with less, ``_peers`` with others; ``_trees`` and ``_clients`` start what is measured; each other
module is one benchmark, named after what it measures.
"""
