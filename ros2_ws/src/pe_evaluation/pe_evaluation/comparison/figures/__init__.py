"""The figures of a comparison, drawn from its folder alone; :mod:`.gallery` draws all of them."""
