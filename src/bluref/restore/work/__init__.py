"""Files and folders in, the same tree out: what is done, skipped, failed, gone on with."""
