"""Approaches beside one another: the same starts, the same measures, and what follows from them.

A plan (``config/comparison``) names approaches, cells (an evader at a speed ratio) and worlds; ``./pe compare`` plays
it, keeps every episode, and decides by rules (``config/decision``).  Layout of the folder of a comparison:

    identity.json        plan, hashes of bundles and configuration, git revisions; a folder holds one comparison
    episodes.jsonl       one line an episode, in the order in which they ended: what names it, its start, every metric
                         (:mod:`.episode`); where a metric does not apply the reason stands in its place
    parts/<job>.npz      maps and histograms (:mod:`.maps`) of one job; a job with its lines and this file is played
    maps/<world>_<approach>.npz   their sums over the cells, with margin_edges [m] and action_edges
    tracks/<approach>_<evader>_<ratio>[_<scenario>]_s<seed>_e<episode>.npz   episodes as arrays (:mod:`.track`)
    summary.json         accounts, cells, gaps, tests, decision, gates (:mod:`.summary`)
    decision_report.md, report.html

Seams.  ``compare_main.run`` takes functions from this folder to (title, HTML) sections of the page.  Everything behind
the playing needs only rows: :class:`.results.Results` takes them from any source.
"""
