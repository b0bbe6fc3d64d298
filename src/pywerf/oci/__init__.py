"""The OCI specifications as values: digests, descriptors, manifests, configs, references. No I/O."""
