"""The same episodes in several simulators: how far what one shows holds in another.

    account     rows of comparisons, one for each simulator, to differences from the arena simulator
    report      sim_gap.md, report.html with a replay of one start in several simulators
"""
