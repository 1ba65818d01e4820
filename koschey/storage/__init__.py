"""Where the bytes are: an S3 bucket of blobs named by their sha256, with a manifest beside each."""
