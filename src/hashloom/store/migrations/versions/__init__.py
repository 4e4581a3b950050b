"""One file per version of the schema; a published one is never altered, a further one is added."""
