"""How latents are coded: hyperprior, quadtree, exact integers, quality."""
