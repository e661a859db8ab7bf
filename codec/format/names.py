"""What files are called: suffixes, and media types for desktops, browsers and Pillow."""

SUFFIXES = (".bin", ".lictor")
"""Of files of every kind; the first is what outputs get in a folder. `.lictor` is for programs that
know a file by its name, to which `.bin` says nothing. `.lic` is not taken: licence keys have it."""
PICTURE_TYPE = "image/x-lictor"
ARRAYS_TYPE = "application/x-lictor-arrays"
