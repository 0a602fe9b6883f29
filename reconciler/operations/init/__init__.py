"""What `reconciler init` writes into a repository, and whether a repository is set up."""
