"""What another safety mechanism would have commanded in the cycles of a recorded run.

    mechanism   one robot's filter, asked cycle after cycle as its safety node asks it
    program     BarrierNet's program in front of the filter, for policies that have none
    cycles      the cycles of a bag, with the messages that each stood on
    replay      both mechanisms over all cycles of a bag
    account     how far they differ
    figure      both commands of one episode over time

Open loop: the state does not follow what the other mechanism would have commanded.
"""
