"""The model of werf.yaml: a meta section and images, read strictly, checked across documents. See `parse_config`."""
