"""One file per source of posts; the file name is the KIND of `hashloom import`."""
