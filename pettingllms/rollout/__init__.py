"""Playing episodes: engines that sample tokens, and the tree of candidates over them."""
