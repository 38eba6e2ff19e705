"""What is compared: asv's discovery and environments, two commits built as two sides, the results that asv keeps."""
