"""What the scripts of this folder share. Python 3.9 or later, standard library only."""
