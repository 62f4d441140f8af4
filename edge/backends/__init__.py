"""The runtimes a bundle can be scored on, one file each, behind one protocol."""
