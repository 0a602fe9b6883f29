"""Pure planning: compares the manifests with the live state, and computes the requests that reconcile them."""
