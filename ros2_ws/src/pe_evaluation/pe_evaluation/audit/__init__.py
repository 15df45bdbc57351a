"""Two audits of what the safety nodes recorded.

:mod:`~pe_evaluation.audit.consistency` looks at every cycle of every report, vectorised: are barriers, states, commands
and limits in accord with one another.  The other modules are ``./pe bag BAG --audit``: an independent, slow, plain
computation of every cycle from the raw messages.  It shares with the filter the declarations of its parameters and of
the robots, and nothing that computes; it is written from the equations, not for speed:

    motion        what the robot does with the commands on their way
    margins       the margin budget
    constraints   barriers, and the rows G u <= b
    programme     the quadratic program, by enumeration; the least slack, by linear programming
    resolution    the same over the commands of a robot with a resolution, by trying all of them
    decision      which command the ladder sends
    trace         what a bag says of every cycle
    cycle         one cycle against all of that
    certificate   a whole bag
"""

from pe_evaluation.audit.consistency import audit_episode, audit_of, audit_run, barriers, limit_excess

__all__ = ["audit_episode", "audit_of", "audit_run", "barriers", "limit_excess"]
