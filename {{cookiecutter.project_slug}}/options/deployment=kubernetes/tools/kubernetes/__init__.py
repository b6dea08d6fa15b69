"""Kubernetes: the manifests that follow from the topology, and the order of a deploy."""
