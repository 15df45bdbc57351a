"""The figures of a comparison, drawn from its folder alone; :mod:`~pe_evaluation.comparison.figures.gallery` draws all."""
