"""Episodes to watch: an interactive replay for pages, and videos."""
