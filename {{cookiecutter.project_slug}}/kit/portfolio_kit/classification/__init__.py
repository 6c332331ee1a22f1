"""What a classifier needs around it: figures of many classes, a baseline, short answers."""
