"""Which images show the same place: one vector an image from its local features, and the nearest of them."""
