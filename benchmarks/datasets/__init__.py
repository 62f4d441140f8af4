"""The public sets of pictures with human scores, each read from the folder its authors publish."""
