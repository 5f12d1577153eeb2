"""The fuzz: garbage to every socket and pipe of a tree, after which every process is whole."""
