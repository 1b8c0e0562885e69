"""Methods of translation, one file each."""
