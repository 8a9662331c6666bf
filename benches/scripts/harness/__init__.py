"""Code shared by the scripts of this folder. It needs Python 3.9 and only the standard library."""
