"""Pure planning: what the manifests say against what is live, down to the requests that make them one."""
