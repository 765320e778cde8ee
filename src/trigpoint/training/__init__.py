"""Training of the methods: geometry of views, distributions of matches."""
