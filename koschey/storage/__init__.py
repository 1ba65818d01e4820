"""The S3 bucket that holds all bytes: blobs named by their SHA-256, with a manifest beside each."""
