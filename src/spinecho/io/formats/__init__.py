"""One file a format, found by listing this folder; `io/read.py` states what such a file offers."""
